/** Deletes delivered entries that are old, oldest first, with the history of their attempts. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Batch } from "./inBatches.ts"

/**
 * One batch, of what was delivered longer than `age` ago. Entries that somebody has locked are left for the next time, so that neither
 * waits for the other. Walks the index outbox_delivered.
 */
export const deleteDelivered = ({ now, sql, table }: Database, age: Duration.Duration): Batch =>
  Effect.fnUntraced(function*(after, limit) {
    const time = yield* now
    const [gone] = yield* sql<{ count: number; attempts: number; last: string | null }>`
      WITH gone AS (
        DELETE FROM ${table.outbox} WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table.outbox}
          WHERE status = 'delivered' AND delivered_at >= ${after}::timestamptz
            AND delivered_at < ${time} - ${Duration.toMillis(age)}::float8 * interval '1 millisecond'
          ORDER BY delivered_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
        RETURNING id, delivered_at
      ), attempts AS (
        DELETE FROM ${table.outboxAttempts} WHERE entry_id = ANY (ARRAY(SELECT id FROM gone)) RETURNING 1
      )
      SELECT count(*)::int AS count, max(delivered_at)::text AS last, (SELECT count(*)::int FROM attempts) AS attempts FROM gone`
    return gone
  })
