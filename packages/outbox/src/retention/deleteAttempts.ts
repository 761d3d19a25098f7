/** Deletes the history of attempts that are old, oldest first, also where their entry is still there. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Batch } from "./inBatches.ts"

/** One batch, of what ended longer than `age` ago. Walks the index outbox_attempts_ended. */
export const deleteAttempts = ({ now, sql, table }: Database, age: Duration.Duration): Batch =>
  Effect.fnUntraced(function*(after, limit) {
    const time = yield* now
    const [gone] = yield* sql<{ count: number; last: string | null }>`
      WITH gone AS (
        DELETE FROM ${table.outboxAttempts} WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table.outboxAttempts}
          WHERE ended_at >= ${after}::timestamptz
            AND ended_at < ${time} - ${Duration.toMillis(age)}::float8 * interval '1 millisecond'
          ORDER BY ended_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
        RETURNING ended_at
      )
      SELECT count(*)::int AS count, max(ended_at)::text AS last FROM gone`
    return gone
  })
