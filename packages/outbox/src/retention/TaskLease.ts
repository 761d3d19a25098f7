/**
 * Work that one process does for all: whoever holds the lease of its row in zakops.tasks. Another takes over when it runs out.
 *
 * Each step of the work is a transaction that first renews the lease, which locks the row to its end: whoever has lost the lease can
 * change nothing more, and whoever takes it over waits for a step that is under way.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { randomUUID } from "node:crypto"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { workerName } from "../delivering/worker.ts"

/** Somebody else does the work by now: nothing more may be done here. */
export class TaskLost extends Data.TaggedError("TaskLost")<{ readonly task: string }> {}

/** One turn of the work, held by its owner's id. */
export interface Turn {
  /** Runs `self` in a transaction of its own, for as long as the lease is ours. */
  readonly step: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError | TaskLost, R>
}

const span = ({ sql }: Database, duration: Duration.Duration): Fragment =>
  sql`${Duration.toMillis(duration)}::float8 * interval '1 millisecond'`

/** How long until it is worth trying to take the task: until its lease runs out, and `interval` after it was finished. */
export const untilDue = (db: Database, task: string) =>
  Effect.fnUntraced(function*(interval: Duration.Duration) {
    const { now, sql, table } = db
    const time = yield* now
    const [row] = yield* sql<{ millis: number | null }>`
      SELECT (extract(epoch FROM greatest(CASE WHEN owner IS NOT NULL THEN lease_until END, finished_at + ${
      span(db, interval)
    }) - ${time}) * 1000)::float8 AS millis
      FROM ${table.tasks} WHERE name = ${task}`
    return Duration.millis(Math.max(0, Math.ceil(row?.millis ?? 0)))
  })

/** Takes the lease where nobody holds it, and the task was not finished within the last `interval`. */
const take = (db: Database, task: string, owner: string, lease: Duration.Duration) =>
  Effect.fnUntraced(function*(interval: Duration.Duration) {
    const { now, sql, table } = db
    const time = yield* now
    const rows = yield* sql`
      INSERT INTO ${table.tasks} AS task (name, owner, runner, lease_until)
      VALUES (${task}, ${owner}::uuid, ${workerName}, ${time} + ${span(db, lease)})
      ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, runner = excluded.runner, lease_until = excluded.lease_until
        WHERE (task.owner IS NULL OR task.lease_until IS NULL OR task.lease_until <= ${time})
          AND (task.finished_at IS NULL OR task.finished_at + ${span(db, interval)} <= ${time})
      RETURNING 1`
    return rows.length === 1
  })

/**
 * Renews the lease, and locks the task until the transaction ends. The server ends a transaction that stands still for longer than the
 * lease: a process that is stopped in the middle of one would keep the others waiting.
 *
 * Every statement of a step is meant to walk an index in its order, and the planner is told so: a plan that was made while a table was
 * empty would go on to read all of it when it is not; and without statistics it takes 200,000 old rows for a few, and would gather and sort
 * all of them for each batch (5,000 rows a second were deleted so, on a table that nobody had analyzed).
 */
const hold = (db: Database, task: string, owner: string, lease: Duration.Duration) =>
  Effect.gen(function*() {
    const { now, sql, table } = db
    const time = yield* now
    const rows = yield* sql`
      UPDATE ${table.tasks} SET lease_until = ${time} + ${span(db, lease)}
      WHERE name = ${task} AND owner = ${owner}::uuid
      RETURNING set_config('idle_in_transaction_session_timeout', ${String(Duration.toMillis(lease))}, true),
        set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_bitmapscan', 'off', true),
        set_config('enable_seqscan', 'off', true)`
    if (rows.length === 0) return yield* new TaskLost({ task })
  })

const finish = ({ now, sql, table }: Database, task: string, owner: string) =>
  Effect.fnUntraced(function*(outcome: unknown) {
    const time = yield* now
    yield* sql`
      UPDATE ${table.tasks} SET owner = NULL, lease_until = NULL, finished_at = ${time}, outcome = ${
      JSON.stringify(outcome)
    }::jsonb
      WHERE name = ${task} AND owner = ${owner}::uuid`
  })

const releaseLimit = Duration.seconds(2)

const release = ({ sql, table }: Database, task: string, owner: string) =>
  sql`UPDATE ${table.tasks} SET owner = NULL, lease_until = NULL WHERE name = ${task} AND owner = ${owner}::uuid`

/**
 * Runs `work` if the task is free and was not finished within the last `interval`, and keeps what it gives as the outcome; gives
 * undefined where there was nothing to take. When `work` fails or is interrupted, the task is free again.
 */
export const takeTurn = (db: Database, task: string, lease: Duration.Duration) => {
  return <A, E, R>(interval: Duration.Duration, work: (turn: Turn) => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      // Its own for each turn: two in one process exclude each other as well.
      const owner = randomUUID()
      const renew = hold(db, task, owner, lease)
      const turn: Turn = {
        step: (self) => SqlErrors.lostAsFailure(db.sql.withTransaction(Effect.andThen(renew, self)))
      }
      const done = Effect.tap(work(turn), finish(db, task, owner))
      return Effect.flatMap(
        take(db, task, owner, lease)(interval),
        // Where the database cannot be told in time, the lease runs out by itself.
        (taken) =>
          taken
            ? Effect.ensuring(
              done,
              Effect.ignore(Effect.timeoutOption(Effect.interruptible(release(db, task, owner)), releaseLimit))
            )
            : Effect.undefined
      )
    })
}
