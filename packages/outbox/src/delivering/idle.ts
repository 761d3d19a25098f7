/** What a processor does when nothing is due: it waits for whatever comes first. */
import type { Database } from "@zakops/migrations/Database"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { nextDueTime } from "../claiming/nextDueTime.ts"

/**
 * Waits for the next wake-up, the next due time, the poll interval, or `most` milliseconds. `since` is when the last look for what is due
 * began, by this process' clock: what has fallen due since then is worth another look at once.
 */
export const untilWorth = (
  db: Database,
  route: string | null,
  wakeup: Effect.Effect<void>,
  pollInterval: Duration.Duration
) => {
  const nextDue = nextDueTime(db, route)
  return Effect.fnUntraced(function*(most: number, since: number) {
    const lookedAgo = (yield* Clock.currentTimeMillis) - since
    const due = Option.match(yield* nextDue(lookedAgo), { onNone: () => Infinity, onSome: Duration.toMillis })
    yield* Effect.timeoutOption(wakeup, Duration.min(pollInterval, Duration.millis(Math.min(due, most))))
  })
}
