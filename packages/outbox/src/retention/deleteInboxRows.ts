/**
 * Deletes inbox rows that are old, oldest first: their events, if they came again, would be handled again.
 *
 * Whatever its age, a row is kept as long as its event can be delivered again from the outbox of this database: while its entry is not
 * finished, or is a dead letter, at any destination. Whether events of another database's outbox can come again is not known here.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Batch } from "./inBatches.ts"

/**
 * One batch, of what was handled longer than `age` ago. Walks the index inbox_processed, and looks each event up in the outbox: as a
 * scalar subquery, since a join might be planned as a scan of the outbox.
 */
export const deleteInboxRows = ({ now, sql, table }: Database, age: Duration.Duration): Batch =>
  Effect.fnUntraced(function*(after, limit) {
    const time = yield* now
    const [gone] = yield* sql<{ count: number; last: string | null }>`
      WITH gone AS (
        DELETE FROM ${table.inbox} WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table.inbox} AS handled
          WHERE processed_at >= ${after}::timestamptz
            AND processed_at < ${time} - ${Duration.toMillis(age)}::float8 * interval '1 millisecond'
            AND coalesce((
              SELECT o.finished AND (o.delivered_at IS NOT NULL OR o.discarded_at IS NOT NULL)
              FROM ${table.outbox} o WHERE o.id = handled.event_id), true)
            AND coalesce((
              SELECT bool_and(o.finished AND (o.delivered_at IS NOT NULL OR o.discarded_at IS NOT NULL))
              FROM ${table.outbox} o WHERE o.event_id = handled.event_id), true)
          ORDER BY processed_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
        RETURNING processed_at
      )
      SELECT count(*)::int AS count, max(processed_at)::text AS last FROM gone`
    return gone
  })
