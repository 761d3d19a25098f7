/**
 * How long a failed entry waits before its next attempt, where its event's definition does not say so itself.
 *
 * When the schedule is exhausted, the entry is dead; so it is, whatever the schedule says, when `attempts >= max_attempts`.
 */
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import { waitAfter } from "@zakops/events/RetrySchedule"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"

/**
 * The seed's back-off: 5 s, 15 s, 1 min, 5 min, then 15 min for every further failure. With the default of 5 attempts the fifth failure
 * is dead, so that the 15 minutes are reached only where `max_attempts` is 6 or more.
 */
export const ladder: RetrySchedule = Schedule.duration("5 seconds").pipe(
  Schedule.concat(Schedule.duration("15 seconds")),
  Schedule.concat(Schedule.duration("1 minute")),
  Schedule.concat(Schedule.duration("5 minutes")),
  Schedule.concat(Schedule.spaced("15 minutes"))
)

/** The policy in use: `ladder`, unless a program provides its own with `Layer.succeed(RetryPolicy, schedule)`. */
export const RetryPolicy = Context.Reference<RetrySchedule>("@zakops/outbox/RetryPolicy", {
  defaultValue: () => ladder
})

/** What the wait is decided by. */
interface Failed {
  /** The attempts so far, with the one that has failed. */
  readonly attempts: number
  /** Milliseconds after each failure, where the entry has waits of its own; the last of them again after that. */
  readonly retryWaits: ReadonlyArray<number> | null
}

/**
 * How long the entry waits: by its own waits, or else by the policy; none where that is exhausted. `retryAfter` is what the destination asks
 * for instead, where there is another attempt at all.
 */
export const waitFor = (
  policy: RetrySchedule,
  { attempts, retryWaits }: Failed,
  retryAfter?: Duration.Duration
): Effect.Effect<Option.Option<Duration.Duration>> => {
  const own = retryWaits?.[Math.max(1, Math.min(attempts, retryWaits.length)) - 1]
  const scheduled = own === undefined
    ? waitAfter(policy, attempts)
    : Effect.succeedSome(Duration.millis(own))
  return retryAfter === undefined ? scheduled : Effect.map(scheduled, Option.map(() => retryAfter))
}
