/**
 * How long a failed entry waits before its next attempt: a Schedule, stepped from the number of failures that the row holds.
 *
 * Nothing about it is kept in memory, so a restart or another worker goes on where the row stands. When the schedule is
 * exhausted, the entry is dead; so it is, whatever the schedule says, when `attempts >= max_attempts`.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"

/** Any Schedule that needs nothing and cannot fail. Its input is the number of failures so far; its delay is the wait. */
export type RetrySchedule = Schedule.Schedule<unknown, number>

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

// A row may claim any number of failures. From the thousandth on, the wait stays what it was.
const mostSteps = 1000

/**
 * The wait after the `failures`-th failure (1 for the first), or none when the schedule is exhausted by then.
 *
 * Replays the schedule on a clock of its own that starts at 0 and advances by each wait.
 */
export const waitAfter = Effect.fnUntraced(function*(schedule: RetrySchedule, failures: number) {
  const step = yield* Schedule.toStep(schedule)
  let elapsed = 0
  let wait = Duration.zero
  for (let failure = 1; failure <= Math.min(failures, mostSteps); failure++) {
    const next = yield* step(elapsed, failure).pipe(
      Effect.map(([, delay]) => Option.some(delay)),
      Pull.catchDone(() => Effect.succeedNone)
    )
    if (Option.isNone(next)) return Option.none<Duration.Duration>()
    wait = next.value
    elapsed += Duration.toMillis(wait)
  }
  return Option.some(wait)
})
