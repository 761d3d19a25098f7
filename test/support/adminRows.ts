/** Rows of every state, for what an operator sees: written as any program could, by plain SQL. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"

/** The id of the nth row: the higher, the later, as those that `emit` makes. */
export const idOf = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`

export interface AdminRow {
  readonly n: number
  readonly status?: string
  readonly type?: string
  readonly key?: string
  readonly destination?: string
  readonly event?: number
  readonly waitsFor?: "key" | "turn"
  readonly blocks?: boolean
  readonly discarded?: boolean
  readonly error?: string
  /** JSON as text. */
  readonly data?: string
  readonly correlation?: number
  readonly aggregate?: string
}

/** One row for each, in their order, all written at the time `at` and a millisecond later each. */
export const putRows = Effect.fnUntraced(function*(rows: ReadonlyArray<AdminRow>, at = new Date(0)) {
  const sql = yield* SqlClient
  yield* sql`
    INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, status, attempts, ordering_key, destination, event_id, blocks,
      error_message, created_at, next_attempt_at, delivered_at, died_at, aggregate_type, aggregate_id)
    SELECT row.id, row.correlation, row.type, row.data::jsonb, row.status, CASE WHEN row.status = 'dead' THEN 5 ELSE 0 END, row.key,
      row.destination, row.event, row.blocks, row.error, at.time, at.time, CASE WHEN row.status = 'delivered' THEN at.time END,
      CASE WHEN row.status = 'dead' THEN at.time END, CASE WHEN row.aggregate IS NOT NULL THEN 'deal' END, row.aggregate
    FROM jsonb_to_recordset(${
    JSON.stringify(rows.map((row) => ({
      n: row.n,
      id: idOf(row.n),
      correlation: idOf(row.correlation ?? row.n),
      type: row.type ?? "deal.made",
      data: row.data ?? "{}",
      status: row.status ?? "pending",
      key: row.key,
      destination: row.destination,
      event: row.event === undefined ? undefined : idOf(row.event),
      blocks: row.blocks ?? false,
      error: row.error,
      aggregate: row.aggregate
    })))
  }::jsonb) AS row (n int, id uuid, correlation uuid, type text, data text, status text, key text, destination text, event uuid,
      blocks boolean, error text, aggregate text)
    CROSS JOIN LATERAL (SELECT ${at}::timestamptz + row.n * interval '1 millisecond' AS time) AS at
    ORDER BY row.n`
  // No row begins so: only a claim sets an entry aside.
  for (const waits of ["key", "turn"] as const) {
    const ids = rows.filter(({ waitsFor }) => waitsFor === waits).map(({ n }) => idOf(n))
    yield* sql`UPDATE zakops.outbox SET waits_for = ${waits} WHERE id = ANY (${ids}::uuid[])`
  }
  const discarded = rows.filter((row) => row.discarded).map(({ n }) => idOf(n))
  yield* sql`UPDATE zakops.outbox SET discarded_at = died_at WHERE id = ANY (${discarded}::uuid[])`
})

/** The nth of `idOf`. */
export const numberOf = (id: string): number => Number(id.slice(-12))
