/** What a processor does when nothing is due: it waits for whatever comes first. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { nextDueTime } from "../claiming/nextDueTime.ts"

/** Waits for the next wake-up, the next due time, the poll interval, or `most` milliseconds. */
export const untilWorth = (db: Database, wakeup: Effect.Effect<void>, pollInterval: Duration.Duration) => {
  const nextDue = nextDueTime(db)
  return Effect.fnUntraced(function*(most: number) {
    const due = Option.match(yield* nextDue, { onNone: () => Infinity, onSome: Duration.toMillis })
    yield* Effect.timeoutOption(wakeup, Duration.min(pollInterval, Duration.millis(Math.min(due, most))))
  })
}
