/**
 * How long a failed entry waits before its next attempt: any Schedule, stepped from the number of failures alone.
 *
 * Nothing about it is kept in memory, so a restart or another worker goes on where the row stands.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"

/** Any Schedule that needs nothing and cannot fail. Its input is the number of failures so far; its delay is the wait. */
export type RetrySchedule = Schedule.Schedule<unknown, number>

// A row may claim any number of failures. From the thousandth on, the wait stays what it was.
const mostSteps = 1000

/** The waits after the first `failures` failures, fewer where the schedule is exhausted before. */
export const replay = Effect.fnUntraced(function*(schedule: RetrySchedule, failures: number) {
  const step = yield* Schedule.toStep(schedule)
  const waits: Array<Duration.Duration> = []
  // On a clock of its own, which starts at 0 and advances by each wait.
  let elapsed = 0
  while (waits.length < failures) {
    const next = yield* step(elapsed, waits.length + 1).pipe(
      Effect.map(([, delay]) => Option.some(delay)),
      Pull.catchDone(() => Effect.succeedNone)
    )
    if (Option.isNone(next)) break
    waits.push(next.value)
    elapsed += Duration.toMillis(next.value)
  }
  return waits
})

/** The wait after the `failures`-th failure (1 for the first), or none when the schedule is exhausted by then. */
export const waitAfter = (
  schedule: RetrySchedule,
  failures: number
): Effect.Effect<Option.Option<Duration.Duration>> => {
  const replayed = Math.min(failures, mostSteps)
  return Effect.map(replay(schedule, replayed), (waits) => Option.fromNullishOr(waits[replayed - 1]))
}

/** A schedule as an entry carries it along. */
export interface Waits {
  /** Milliseconds after the first failure, the second, and so on; after the last of them, the last again. */
  readonly millis: ReadonlyArray<number>
  /** How many attempts the schedule allows, where it ends among the first 100 waits. */
  readonly mostAttempts: number | undefined
}

const mostWaits = 100
const longestWait = Duration.toMillis(Duration.days(36_500))

/** The first 100 waits of `schedule`. Throws where it does not step synchronously: a wait has to be known without waiting. */
export const toWaits = (schedule: RetrySchedule): Waits => {
  const waits = Effect.runSync(replay(schedule, mostWaits)).map((wait) =>
    Math.min(Math.max(Duration.toMillis(wait), 0), longestWait)
  )
  const mostAttempts = waits.length < mostWaits ? waits.length + 1 : undefined
  while (waits.length > 1 && waits.at(-1) === waits.at(-2)) waits.pop()
  return { millis: waits, mostAttempts }
}
