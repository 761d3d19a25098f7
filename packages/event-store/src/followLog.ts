/** Waiting at the end of the log: for the wake-up that follows a commit, and for older transactions to end. */
import { SourceFailed } from "@zakops/events/EventSource"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { listen } from "@zakops/outbox/connecting/listen"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql/SqlError"
import type { Cursor } from "./Cursor.ts"
import { channelOf } from "./EventLog.ts"
import { isHeldBack } from "./readLog.ts"

// However long the database was away, work goes on within 5 s of its return.
const tryAgain = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("4 seconds")])

/** Goes on trying while the database is in trouble, after 250 ms at first and at most every 4 s; each failure is logged. */
export const outlastTrouble =
  (what: string) => <A, E, R>(self: Effect.Effect<A, E | SqlError, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.retry(
      Effect.tapError(
        SqlErrors.lostAsFailure(self),
        (error) =>
          SqlErrors.isTrouble(error) ? Effect.logWarning(`${what}: ${SqlErrors.serverText(error)}`) : Effect.void
      ),
      { schedule: tryAgain, while: (error) => SqlErrors.isTrouble(error) }
    )

/** 10 ms at first, twice as long after each look that found nothing. */
const soon = (looks: number): Duration.Duration => Duration.millis(10 * 2 ** Math.min(looks, 20))

/**
 * Listens in the scope, and gives a wait for the end of the log: until it is worth to look again after `cursor`, `pollInterval` at most.
 * `looks` counts the looks in a row that found nothing: events that an older transaction holds back are looked for soon, and then less
 * and less often.
 */
export const follow = Effect.fnUntraced(function*(db: Database, pollInterval: Duration.Duration) {
  const wakeups = yield* Queue.sliding<void>(1)
  yield* Effect.catchTag(
    listen(channelOf(db.schema), Effect.asVoid(Queue.offer(wakeups, void 0))),
    "InvalidSetting",
    ({ message }) => new SourceFailed({ source: "the event log", reason: message })
  )
  const heldBack = isHeldBack(db)
  return Effect.fnUntraced(function*(cursor: Cursor, looks: number) {
    const patience = (yield* heldBack(cursor)) ? soon(looks) : pollInterval
    yield* Effect.timeoutOption(Queue.take(wakeups), Duration.min(patience, pollInterval))
  })
})
