/**
 * Deletes dead letters that are old, oldest first, with the history of their attempts; discarded ones by the time of that.
 *
 * A dead letter that blocks its key lets the key forward as it goes, in the same transaction.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import type { Batch } from "./inBatches.ts"
import { letForward } from "../claiming/orderingKeys.ts"

const deleteBy = (db: Database, which: Fragment, at: Fragment, age: Duration.Duration): Batch => {
  const { now, sql, table } = db
  const forward = letForward(db)
  return Effect.fnUntraced(function*(after, limit) {
    const time = yield* now
    const old = sql`${time} - ${Duration.toMillis(age)}::float8 * interval '1 millisecond'`
    const [gone] = yield* sql<
      { count: number; attempts: number; last: string | null; keys: ReadonlyArray<string> | null }
    >`
      WITH gone AS (
        DELETE FROM ${table.outbox} WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table.outbox}
          WHERE ${which} AND status = 'dead' AND ${at} >= ${after}::timestamptz AND ${at} < ${old}
            AND coalesce(last_attempt_at < ${old}, true)
          ORDER BY ${at} LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
        RETURNING id, ${at} AS at, CASE WHEN blocks THEN ordering_key END AS key
      ), attempts AS (
        DELETE FROM ${table.outboxAttempts} WHERE entry_id = ANY (ARRAY(SELECT id FROM gone)) RETURNING 1
      )
      SELECT count(*)::int AS count, max(at)::text AS last, (SELECT count(*)::int FROM attempts) AS attempts,
        array_agg(DISTINCT key) FILTER (WHERE key IS NOT NULL) AS keys
      FROM gone`
    const keys = gone?.keys ?? []
    if (keys.length > 0) {
      yield* forward(keys.map((key) => ({ key })))
      yield* Effect.logWarning(`${keys.length} ordering keys go on without the dead letters that blocked them`)
    }
    return gone
  })
}

/**
 * One batch, of what died longer than `age` ago, and was not tried since: who redrives by plain SQL may leave the old date behind. Walks
 * the index outbox_died.
 */
export const deleteDead = (db: Database, age: Duration.Duration): Batch =>
  deleteBy(
    db,
    db.sql`finished AND delivered_at IS NULL AND discarded_at IS NULL AND died_at IS NOT NULL`,
    db.sql`coalesce(died_at, '-infinity'::timestamptz)`,
    age
  )

/** One batch, of what was discarded longer than `age` ago. Walks the index outbox_discarded. */
export const deleteDiscarded = (db: Database, age: Duration.Duration): Batch =>
  deleteBy(db, db.sql`discarded_at IS NOT NULL`, db.sql`discarded_at`, age)

/**
 * One batch of entries that were finished by older builds or plain SQL, without a date: they are given that of their last attempt, of
 * their making, or today's. Without a date nothing would ever be old. Walks the index outbox_died.
 */
export const dateFinished = ({ now, sql, table }: Database): Batch =>
  Effect.fnUntraced(function*(_after, limit) {
    const time = yield* now
    const date = sql`coalesce(nullif(last_attempt_at, '-infinity'), nullif(created_at, '-infinity'), ${time})`
    const rows = yield* sql`
      UPDATE ${table.outbox} SET
        died_at = CASE WHEN status = 'dead' THEN ${date} END,
        delivered_at = CASE WHEN status = 'delivered' THEN ${date} END
      WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ${table.outbox}
        WHERE finished AND delivered_at IS NULL AND discarded_at IS NULL
          AND coalesce(died_at, '-infinity'::timestamptz) = '-infinity'
        LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
      RETURNING 1`
    return { count: rows.length, last: null }
  })
