/** The program's part of a projection's transactions, and what becomes of it when it fails. */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql/SqlError"
import { isPassing, isTimeout, requireUsable } from "./handlerFailure.ts"

/** The program's own failure, on its way out of a transaction that it rolls back. */
export class Failed {
  readonly cause: Cause.Cause<unknown>
  /** It is worth another transaction. */
  readonly passing: boolean
  constructor(cause: Cause.Cause<unknown>, passing: boolean) {
    this.cause = cause
    this.passing = passing
  }
}

/** How often at most: a deadlock or a younger writer goes by within milliseconds, a time-out may be the handler's own. */
const mostRuns = { passing: 10, timeout: 3 }

/**
 * Runs the program's part of a transaction. What is the database's trouble fails as such, to be tried again for as long as it takes; what
 * else goes wrong fails with `Failed`, also where the program overlooks that a statement of its own has failed.
 *
 * @param run the how manieth run of it this is, from 1
 */
export const attempt = (db: Database) => {
  const usable = requireUsable(db)
  return <E, R>(self: Effect.Effect<unknown, E, R>, run: number): Effect.Effect<void, SqlError | Failed, R> =>
    // An interruption of this very fiber does not come by here; one that the handler has met with elsewhere is its failure.
    Effect.catchCause(
      Effect.asVoid(Effect.andThen(self, usable)),
      (cause): Effect.Effect<never, SqlError | Failed> => {
        const error = Cause.squash(cause)
        if (isPassing(error)) return Effect.fail(new Failed(cause, run < mostRuns.passing))
        if (isTimeout(error)) return Effect.fail(new Failed(cause, run < mostRuns.timeout))
        return SqlErrors.isTrouble(error) ? Effect.fail(error) : Effect.fail(new Failed(cause, false))
      }
    )
}

const shortly = Schedule.jittered(Schedule.min([Schedule.exponential("2 millis"), Schedule.spaced("100 millis")]))

/** Begins the transaction anew while its failure is worth it. */
export const patiently = <A, E, R>(transaction: (run: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let runs = 0
    return Effect.retry(Effect.suspend(() => transaction(++runs)), {
      schedule: shortly,
      while: (error) => error instanceof Failed && error.passing
    })
  })

/** The cause of a failure that is not worth another transaction; fails with one that is. */
export const failureOf = <A, E, R>(
  self: Effect.Effect<A, E | Failed, R>
): Effect.Effect<Cause.Cause<unknown> | undefined, Exclude<E, Failed> | Failed, R> =>
  Effect.catch(
    Effect.as(self, undefined),
    (error) =>
      error instanceof Failed && !error.passing
        ? Effect.succeed(error.cause)
        : Effect.fail(error as Exclude<E, Failed> | Failed)
  )
