/** Declares entries dead that were not delivered by their deadline. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { deadlinePassed } from "../EntryLifecycle.ts"
import { letForward } from "../claiming/orderingKeys.ts"

const mostAtOnce = 1000

/**
 * Whatever destination they go to; `destination` is the name of the main one, for the history. All that are past it and that nobody holds, at most 1,000, from the index outbox_expiring; gives their ids. They are not charged for an
 * attempt that was not made. In a transaction of its own.
 */
export const expireEntries = (db: Database, destination: string) => {
  const { now, sql, table } = db
  const forward = letForward(db)
  const expire = Effect.gen(function*() {
    const time = yield* now
    return yield* sql<{ id: string; key: string | null; seq: number }>`
      WITH expired AS (
        UPDATE ${table.outbox} SET status = 'dead', died_at = ${time}, error_message = ${deadlinePassed}, claim_id = NULL,
          lease_until = NULL, blocks = ordering_key IS NOT NULL AND on_dead IS DISTINCT FROM 'skip'
        WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table.outbox}
          WHERE NOT finished AND expires_at <= ${time}
            AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < ${time})
          ORDER BY expires_at LIMIT ${mostAtOnce}::int
          FOR UPDATE SKIP LOCKED
        ))
        RETURNING id, ordering_key AS key, seq, destination, coalesce(attempts, 0) AS attempts, trace_id
      ),
      history AS (
        INSERT INTO ${table.outboxAttempts} (entry_id, attempt, destination, ended_at, outcome, error, trace_id)
        SELECT id, attempts, coalesce(destination, ${destination}), ${time}, 'deadline_passed', ${deadlinePassed}, trace_id FROM expired
      )
      SELECT id, key, seq::float8 AS seq FROM expired`
  })
  const any = Effect.gen(function*() {
    const time = yield* now
    const rows = yield* sql`SELECT FROM ${table.outbox} WHERE NOT finished AND expires_at <= ${time} LIMIT 1`
    return rows.length > 0
  })
  const transaction = sql.withTransaction(
    Effect.tap(expire, (rows) => forward(rows.flatMap(({ key, seq }) => key === null ? [] : [{ key, seq }])))
  )
  // Mostly there is none: no transaction is opened for that.
  return Effect.flatMap(any, (some) => some ? transaction : Effect.succeed([]))
}
