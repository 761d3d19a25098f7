/** Puts entries into the outbox as if they had died, and reads what matters of them. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"

export interface DeadRow {
  readonly type?: string
  readonly error?: string
  readonly key?: string
  /** Whether the key waits for it. */
  readonly blocks?: boolean
  readonly version?: number
  readonly data?: unknown
  /** How long ago it died, in seconds. */
  readonly ago?: number
  readonly status?: "dead" | "pending"
  readonly waitsFor?: "key"
}

/** One row for each of `rows`, in their order; gives the ids. Times are counted back from `now`, in milliseconds. */
export const putEntries = Effect.fnUntraced(function*(now: number, rows: ReadonlyArray<DeadRow>) {
  const sql = yield* SqlClient
  const ids = rows.map(() => randomUUID())
  const json = rows.map((row, seq) => {
    const status = row.status ?? "dead"
    return {
      seq,
      id: ids[seq],
      event_type: row.type ?? "deal.made",
      schema_version: row.version ?? 1,
      event_data: row.data ?? { dealId: "d", title: "a deal" },
      error_message: status === "dead" ? row.error ?? "refused" : null,
      ordering_key: row.key,
      blocks: row.blocks ?? false,
      on_dead: row.blocks === false ? "skip" : "block",
      status,
      attempts: status === "dead" ? 5 : 0,
      at: new Date(now - (row.ago ?? 0) * 1000),
      died_at: status === "dead" ? new Date(now - (row.ago ?? 0) * 1000) : null
    }
  })
  yield* sql`
    INSERT INTO zakops.outbox (id, correlation_id, event_type, schema_version, event_data, error_message, ordering_key, blocks, on_dead,
      status, attempts, last_attempt_at, next_attempt_at, created_at, died_at)
    SELECT id, id, event_type, schema_version, event_data, error_message, ordering_key, blocks, on_dead, status, attempts, at, at, at, died_at
    FROM jsonb_to_recordset(${
    JSON.stringify(json)
  }::jsonb) AS rows (seq int, id uuid, event_type text, schema_version int,
      event_data jsonb, error_message text, ordering_key text, blocks boolean, on_dead text, status text, attempts int, at timestamptz, died_at timestamptz)
    ORDER BY seq`
  // No row begins so: only a claim sets an entry aside.
  const aside = ids.filter((_, n) => rows[n]?.waitsFor === "key")
  yield* sql`UPDATE zakops.outbox SET waits_for = 'key' WHERE id = ANY (${aside}::uuid[])`
  return ids
})

export interface RowState {
  readonly id: string
  readonly status: string
  readonly attempts: number
  readonly redrives: number
  readonly blocks: boolean
  readonly waits_for: string | null
  readonly discarded: boolean
  /** Milliseconds since 1970. */
  readonly due: number | null
}

/** All rows, in the order of seq. */
export const rowStates = Effect.gen(function*() {
  const sql = yield* SqlClient
  return yield* sql<RowState>`
    SELECT id, status, attempts, redrives, blocks, waits_for, discarded_at IS NOT NULL AS discarded,
      (extract(epoch FROM next_attempt_at) * 1000)::float8 AS due
    FROM zakops.outbox ORDER BY seq`
})

export interface AuditRow {
  readonly by: string
  readonly action: string
  readonly filter: unknown
  readonly count: number
}

export const auditRows = Effect.gen(function*() {
  const sql = yield* SqlClient
  return yield* sql<AuditRow>`SELECT by, action, filter, count::float8 AS count FROM zakops.audit ORDER BY id`
})
