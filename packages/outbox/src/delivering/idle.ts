/** What a processor does between its looks for what is due: it waits for whatever comes first, or, while entries keep coming, hardly at all. */
import type { Database } from "@zakops/migrations/Database"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import { nextDueTime } from "../claiming/nextDueTime.ts"
import type { Round } from "../claiming/takeDue.ts"

/**
 * Milliseconds. Where looks find something more often than every 5, on average, the next one comes after 1, until they have found nothing
 * for 10. To fall asleep takes questions as well, and who is asleep has to be notified, which is done for the events of some milliseconds
 * together: from commit to the worker 0.9 instead of 1.9 at 1,000 events a second.
 */
const often = 5
const nap = Duration.millis(1)
const awakeFor = 10

/** Milliseconds beyond which it does not matter how long nothing was found. */
const longAgo = 100

/**
 * Gives what is to be run after each look.
 *
 * @param bell what wakes it up, and is rung when the time has come as well
 */
export const makeIdling = (
  db: Database,
  route: string | null,
  bell: Queue.Queue<void>,
  pollInterval: Duration.Duration
) => {
  const nextDue = nextDueTime(db, route)
  let foundAt = -Infinity
  let betweenFinds = longAgo
  let awake = false

  /** Waits for the bell, and rings it after `most`. Not as a race: there a wake-up goes through two more fibers before it comes to this one. */
  const untilRung = Effect.fnUntraced(function*(most: Duration.Duration) {
    const alarm = yield* Effect.forkChild(Effect.andThen(Effect.sleep(most), Queue.offer(bell, void 0)))
    yield* Queue.take(bell)
    alarm.interruptUnsafe()
  })

  /** Waits for the next wake-up, the next due time, the poll interval, or `most` milliseconds; what has fallen due since the look is worth another at once. */
  const sleep = Effect.fnUntraced(function*(most: number, lookedAt: number) {
    const lookedAgo = (yield* Clock.currentTimeMillis) - lookedAt
    const due = Option.match(yield* nextDue(lookedAgo), { onNone: () => Infinity, onSome: Duration.toMillis })
    yield* untilRung(Duration.min(pollInterval, Duration.millis(Math.min(due, most))))
  })

  return {
    /** Whether entries keep coming. */
    isAwake: () => awake,
    /** Waits until another look is worth it. `lookedAt` is when the look began, by this process' clock. */
    afterLook: ({ again, more, taken }: Round, lookedAt: number) =>
      Effect.suspend(() => {
        // A clock that has gone back says nothing.
        const foundAgo = Math.abs(lookedAt - foundAt)
        if (taken > 0) {
          betweenFinds += (Math.min(longAgo, foundAgo) - betweenFinds) / 4
          foundAt = lookedAt
        }
        const wasAwake = awake
        awake = betweenFinds < often && (taken > 0 || foundAgo < awakeFor)
        // Before it falls asleep it has to ask everywhere.
        if (more || (wasAwake && !awake)) return Effect.void
        return awake ? untilRung(nap) : sleep(again, lookedAt)
      })
  }
}
