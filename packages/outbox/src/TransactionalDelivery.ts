/**
 * Delivery to a publisher in the same database: found, copied and marked delivered in one statement, which is one transaction.
 *
 * Exactly once. Nothing is claimed that anyone could see: the row lock is the claim, and a worker that dies takes its transaction along.
 * When a batch fails, the entries at fault are searched for by halves, and only they are charged.
 */
import type { Transactional } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { dueEntries } from "./dueEntries.ts"
import { Command, decide } from "./EntryLifecycle.ts"
import { errorText } from "./errorText.ts"
import { outlastTrouble, untilWorth } from "./idle.ts"
import type { OutboxSettings } from "./OutboxConfig.ts"
import { asProcessing } from "./OutboxEntry.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import { waitAfter } from "@zakops/events/RetrySchedule"
import { settleFailedInPlace } from "./settleFailedInPlace.ts"
import { recordShadows } from "./shadowSink.ts"

/** An entry that this transaction has locked. `attempts` counts the one that is about to be made. */
interface Locked {
  readonly id: string
  readonly attempts: number
  readonly maxAttempts: number
}

interface Failure {
  readonly entry: Locked
  readonly error: SqlError
}

export const make = (db: Database, publisher: Transactional, settings: OutboxSettings, policy: RetrySchedule) => {
  const { now, sql, table } = db
  const { batchSize, pollInterval } = settings
  const settleFailed = settleFailedInPlace(db)

  /** Marks what `which` selects delivered and copies it, in one statement; gives the number. */
  const deliver = Effect.fnUntraced(function*(which: Fragment, time: Fragment) {
    const [entries, delivered] = [sql.literal("entries"), sql.literal("delivered")]
    const [result] = yield* sql<{ count: number }>`
      WITH delivered AS (
        UPDATE ${table.outbox} o SET status = 'delivered', attempts = coalesce(o.attempts, 0) + 1, last_attempt_at = ${time},
          delivered_at = ${time}, created_at = coalesce(o.created_at, ${time}), claim_id = NULL, lease_until = NULL
        WHERE ${which}
        RETURNING o.id, o.correlation_id, o.aggregate_type, o.aggregate_id, o.event_type, o.schema_version, o.event_data,
          o.trace_id, o.headers, o.created_at, o.seq, o.shadow
      ), entries AS (SELECT * FROM delivered WHERE NOT shadow),
      copied AS (${publisher.copyFrom(entries)}),
      compared AS (${recordShadows(db, delivered, time)})
      SELECT count(*)::int AS count FROM delivered`
    return result?.count ?? 0
  })

  const deliverDue = Effect.gen(function*() {
    const time = yield* now
    return yield* deliver(sql`o.ctid = ANY (ARRAY(${dueEntries(db, sql.literal("ctid"), time, batchSize)}))`, time)
  })

  const lockDue = Effect.gen(function*() {
    const columns = sql`id, coalesce(attempts, 0) + 1 AS attempts, coalesce(max_attempts, 5) AS "maxAttempts"`
    return yield* sql<Locked>`${dueEntries(db, columns, yield* now, batchSize)}`
  })

  /** Delivers all of `entries` but those that fail on their own, and gives these. Each try is a savepoint. */
  const deliverByHalves = (entries: ReadonlyArray<Locked>): Effect.Effect<ReadonlyArray<Failure>, SqlError> =>
    Effect.gen(function*() {
      const ids = entries.map((entry) => entry.id)
      const tried = yield* Effect.result(sql.withTransaction(deliver(sql`o.id = ANY (${ids}::uuid[])`, yield* now)))
      if (Result.isSuccess(tried)) return []
      if (SqlErrors.isDatabaseTrouble(tried.failure)) return yield* tried.failure
      const [entry] = entries
      if (entries.length === 1 && entry !== undefined) return [{ entry, error: tried.failure }]
      const half = Math.ceil(entries.length / 2)
      return [
        ...(yield* deliverByHalves(entries.slice(0, half))),
        ...(yield* deliverByHalves(entries.slice(half)))
      ]
    })

  /** The batch again, in one transaction that leaves out the entries at fault and settles them as failed. */
  const isolate = sql.withTransaction(Effect.gen(function*() {
    // What is deferred would fail at COMMIT, where no savepoint helps any more.
    yield* sql`SET CONSTRAINTS ALL IMMEDIATE`
    const entries = yield* lockDue
    if (entries.length === 0) return ProcessorCounts.none
    const failures = yield* deliverByHalves(entries)
    const [first] = failures
    if (first !== undefined && failures.length === entries.length && SqlErrors.isSetUpFault(first.error)) {
      // A missing table or privilege meets all alike: that is the destination's fault, and charged to none of them.
      return yield* first.error
    }
    let counts = { ...ProcessorCounts.none, delivered: entries.length - failures.length }
    for (const failure of failures) counts = ProcessorCounts.add(counts, yield* settle(failure))
    return counts
  }))

  const settle = Effect.fnUntraced(function*({ entry, error }: Failure) {
    const words = errorText(`${publisher.destination}: ${SqlErrors.serverText(error)}`)
    const claimId = ""
    const wait = yield* waitAfter(policy, entry.attempts)
    const fact = Result.getOrThrow(
      decide(asProcessing({ ...entry, claimId }), Command.Fail({ claimId, error: words, permanent: false, wait }))
    )
    if (fact._tag === "RetryScheduled") {
      yield* settleFailed(entry.id, { status: "pending", wait: fact.wait, error: words })
      return { ...ProcessorCounts.none, retried: 1 }
    }
    yield* settleFailed(entry.id, { status: "dead", error: words })
    yield* Effect.logError(`outbox entry ${entry.id} is dead: ${words}`)
    return { ...ProcessorCounts.none, dead: 1 }
  })

  const runOnce = Effect.gen(function*() {
    const counts = yield* Effect.catchIf(
      Effect.map(deliverDue, (delivered): ProcessorCounts.ProcessorCounts => ({ ...ProcessorCounts.none, delivered })),
      (error: SqlError) => !SqlErrors.isDatabaseTrouble(error),
      () => isolate
    )
    if (counts.delivered > 0) yield* publisher.afterCommit
    yield* ProcessorCounts.record(counts)
    return counts
  })

  /** Runs in the scope until it closes; a transaction that is under way then is rolled back or has committed, whole either way. */
  const start = Effect.fnUntraced(function*(wakeup: Effect.Effect<void>) {
    const next = Effect.gen(function*() {
      const counts = yield* runOnce
      if (ProcessorCounts.total(counts) < batchSize) yield* untilWorth(db, wakeup, pollInterval)
    })
    yield* outlastTrouble(`delivering to ${publisher.destination} failed`, next).pipe(Effect.forever, Effect.forkScoped)
  })

  return { runOnce, start }
}
