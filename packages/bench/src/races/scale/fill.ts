/** Large tables, made by the server itself: a million entries through the public API would take longer than all that is measured. */
import * as Effect from "effect/Effect"
import type { Client } from "pg"

const columns =
  `id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, headers, max_attempts,
  next_attempt_at, created_at, status, attempts, delivered_at`

/** Of version 7, as the outbox makes them: those of a time are neighbours in the primary key. */
const id =
  `(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid`

const rows = (status: string, delivered: string, count: number) =>
  `SELECT ${id}, gen_random_uuid(), 'deal', n::text, 'deal.priced', 1,
    jsonb_build_object('dealId', '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), 'price', n % 1000, 'note', repeat('n', 280)),
    '{}'::jsonb, 5, now() - interval '1 hour' + n * interval '1 microsecond', now(), '${status}', 0, ${delivered}
  FROM generate_series(1, ${count}) AS n`

const put = (client: Client, status: string, delivered: string, count: number) =>
  Effect.promise(() => client.query(`INSERT INTO zakops.outbox (${columns}) ${rows(status, delivered, count)}`))

/** Entries that wait, as their transactions have left them. */
export const putPending = (client: Client, count: number) => put(client, "pending", "NULL", count)

/** Entries that were delivered some time ago. */
export const putDelivered = (client: Client, count: number) => put(client, "delivered", "now()", count)

export const vacuum = (client: Client) => Effect.promise(() => client.query("VACUUM ANALYZE zakops.outbox"))
