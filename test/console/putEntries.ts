/** Entries as a test needs them, with the attempts that have brought them there. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"

export interface Entry {
  readonly type: string
  readonly status?: "pending" | "processing" | "delivered" | "dead"
  readonly key?: string
  readonly error?: string
  readonly attempts?: number
  /** Seconds ago. */
  readonly ago?: number
  readonly deal?: string
  readonly blocks?: boolean
  readonly waitsFor?: "key" | "turn"
  readonly destination?: string
  readonly eventId?: string
  readonly data?: unknown
  readonly headers?: unknown
  readonly discarded?: boolean
}

/** Puts entries in, oldest first, and gives their ids. */
export const putEntries = Effect.fnUntraced(function*(entries: ReadonlyArray<Entry>) {
  const sql = yield* SqlClient
  const rows = entries.map((entry, n) => ({
    n,
    id: randomUUID(),
    type: entry.type,
    status: entry.status ?? "pending",
    key: entry.key ?? null,
    error: entry.error ?? null,
    attempts: entry.attempts ?? (entry.status === "dead" ? 5 : 0),
    ago: entry.ago ?? 60,
    deal: entry.deal ?? `d-${1000 + n}`,
    blocks: entry.blocks ?? false,
    destination: entry.destination ?? null,
    event_id: entry.eventId ?? null,
    data: entry.data ?? { dealId: entry.deal ?? `d-${1000 + n}`, title: "Office in Lyon", amount: 125_000 + n },
    headers: entry.headers ?? {},
    discarded: entry.discarded ?? false
  }))
  yield* sql`
    INSERT INTO zakops.outbox (id, correlation_id, aggregate_type, aggregate_id, event_type, event_data, headers, status, attempts,
      ordering_key, error_message, blocks, destination, event_id, created_at, next_attempt_at, last_attempt_at, delivered_at, died_at,
      discarded_at, claim_id, claimed_by, lease_until)
    SELECT id, md5(deal)::uuid, 'deal', deal, type, data, headers, status, attempts, key, error, blocks, destination, event_id,
      clock_timestamp() - ago * interval '1 second' - interval '5 minutes',
      clock_timestamp() - ago * interval '1 second',
      CASE WHEN attempts > 0 THEN clock_timestamp() - ago * interval '1 second' END,
      CASE WHEN status = 'delivered' THEN clock_timestamp() - ago * interval '1 second' END,
      CASE WHEN status = 'dead' THEN clock_timestamp() - ago * interval '1 second' END,
      CASE WHEN discarded THEN clock_timestamp() END,
      CASE WHEN status = 'processing' THEN gen_random_uuid() END, CASE WHEN status = 'processing' THEN 'app-1.prod:411' END,
      CASE WHEN status = 'processing' THEN clock_timestamp() + interval '1 hour' END
    FROM jsonb_to_recordset(${
    JSON.stringify(rows)
  }::jsonb) AS row (n int, id uuid, type text, status text, key text, error text,
      attempts int, ago float8, deal text, blocks boolean, destination text, event_id uuid, data jsonb, headers jsonb, discarded boolean)
    ORDER BY n`
  const aside = (what: "key" | "turn") => rows.filter(({ n }) => entries[n]?.waitsFor === what).map(({ id }) => id)
  yield* sql`UPDATE zakops.outbox SET waits_for = 'key' WHERE id = ANY (${aside("key")}::uuid[])`
  yield* sql`UPDATE zakops.outbox SET waits_for = 'turn' WHERE id = ANY (${aside("turn")}::uuid[])`
  const failed = rows.filter(({ attempts, error }) => attempts > 0 && error !== null).map(({ id }) => id)
  yield* sql`
    INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, worker, started_at, ended_at, outcome, error, trace_id)
    SELECT o.id, n, 'event log', 'app-' || 1 + n % 2 || '.prod:411', at - interval '420 milliseconds', at,
      CASE WHEN n = 3 THEN 'lease_expired' ELSE 'failed' END, CASE WHEN n <> 3 THEN o.error_message END, md5(o.id || n::text)::uuid
    FROM zakops.outbox o, generate_series(1, o.attempts) AS n,
      LATERAL (SELECT o.last_attempt_at - (o.attempts - n) * interval '75 seconds' AS at) AS times
    WHERE o.id = ANY (${failed}::uuid[]) ORDER BY o.seq, n`
  return rows.map(({ id }) => id)
})
