/** What a processor does when nothing is due: it waits for whatever comes first. */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql/SqlError"
import { nextDueTime } from "./nextDueTime.ts"

/** Waits for the next wake-up, the next due time, the poll interval, or `most` milliseconds. */
export const untilWorth = (db: Database, wakeup: Effect.Effect<void>, pollInterval: Duration.Duration) => {
  const nextDue = nextDueTime(db)
  return Effect.fnUntraced(function*(most: number) {
    const due = Option.match(yield* nextDue, { onNone: () => Infinity, onSome: Duration.toMillis })
    yield* Effect.timeoutOption(wakeup, Duration.min(pollInterval, Duration.millis(Math.min(due, most))))
  })
}

// However long the database was away, work goes on within 5 s of its return.
const backOff = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("4 seconds")])

/**
 * Goes on trying while the database is in trouble, after 250 ms at first and at most every 4 s; each failure is logged. The processor
 * outlives its database.
 */
export const outlastTrouble = <A, R>(what: string, self: Effect.Effect<A, SqlError, R>): Effect.Effect<A, never, R> =>
  self.pipe(
    SqlErrors.lossAsFailure,
    Effect.tapError((error) => Effect.logWarning(`${what}: ${SqlErrors.serverText(error)}`)),
    Effect.retry(backOff),
    Effect.orDie
  )
