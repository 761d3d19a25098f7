/** Goes on trying while the database is in trouble: a processor outlives its database. */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql/SqlError"

// However long the database was away, work goes on within 5 s of its return.
const backOff = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("4 seconds")])

/** The same trouble is told once, and then every so often: an outage of an hour is no thousand lines. */
const toldAgainAfter = Duration.toMillis(Duration.minutes(5))

/** What to tell of an error, where its own words would not say what to do. */
const inWords = (error: SqlError) =>
  SqlErrors.sqlState(error) === "25006"
    ? `the database takes no writes, as a standby does (${
      SqlErrors.serverText(error)
    }): give the address of the primary`
    : SqlErrors.serverText(error)

/**
 * Repeats `self` until it succeeds, after 250 ms at first and at most every 4 s. Every error of the database is outlasted, a missing
 * table too: somebody will mend it, and until then a line in the log asks for it.
 */
export const outlastTrouble = <A, R>(what: string, self: Effect.Effect<A, SqlError, R>): Effect.Effect<A, never, R> =>
  Effect.suspend(() => {
    let told: { readonly words: string; readonly at: number } | undefined
    const tell = (error: SqlError) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const words = inWords(error)
        if (told?.words === words && now < told.at + toldAgainAfter) return
        told = { words, at: now }
        yield* Effect.logWarning(`${what}, trying again: ${words}`)
      })
    return SqlErrors.lostAsFailure(self).pipe(
      Effect.tapError(tell),
      // What is no error of the database's is one of ours: it must not end a processor unseen either.
      Effect.tapDefect((defect) => Effect.logError(`${what}, trying again: a defect`, defect)),
      Effect.sandbox,
      Effect.retry({ schedule: backOff, while: (cause) => !Cause.hasInterrupts(cause) }),
      Effect.catch(Effect.failCause),
      Effect.orDie,
      Effect.tap(() => told === undefined ? Effect.void : Effect.logInfo(`${what} before, and works again`))
    )
  })
