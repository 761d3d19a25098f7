/**
 * Wake-ups between processes by NOTIFY and LISTEN: sent after commit, gathered, and listened for on a connection of their own.
 *
 * A wake-up says only "look again" and may be lost: whoever waits for one also polls. NOTIFY in every producer's transaction would
 * serialise their commits (measured at 16 connections: 11,147 transactions/s without, 4,590 with, 7,126 at 64 gathered).
 */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"

/**
 * Milliseconds until the next notification for each event that asked for the last one, and at least and at most: a notification costs its
 * sender as much as an emit or more. So few wait for each other long, and where there are many, and a processor is awake anyway, next to
 * nothing is spent on it (one emit after another: 0.99 of the INSERT by hand, against 0.92 with 0.5 for each and 10 at most).
 */
const gatheringForEach = 1
const shortestGathering = 5
const longestGathering = 20
/** Milliseconds between two that are sent ahead, at least. */
const betweenAhead = 10

/** How long a program that ends waits for its last notification to be sent. */
const farewellLimit = Duration.seconds(1)

/** Sends notifications. Both functions return at once. */
export interface Notifier {
  /** Asks for a NOTIFY on each of the channels, of something that is committed. */
  readonly notify: (...channels: ReadonlyArray<string>) => void
  /**
   * Asks for one ahead of a COMMIT, after which `notify` is to be called in any case: while the COMMIT is under way, who listens wakes up,
   * and if he looks too early he will be told again. Does nothing unless it has been quiet: those who are told often are awake. (At 50
   * events a second 1.35 instead of 2.2 ms from commit to the worker.)
   */
  readonly notifyAhead: (channel: string) => void
}

/**
 * The first notification is sent without delay, and what is asked for within 20 ms at most after one is gathered in the next. Runs a fiber
 * in the scope. A notification that cannot be sent is logged at debug level: listeners poll.
 */
export const notifier: Effect.Effect<Notifier, never, SqlClient | Scope.Scope> = Effect.gen(function*() {
  const sql = yield* SqlClient
  const requests = yield* Queue.sliding<void>(1)
  const asked = new Set<string>()
  const clock = yield* Clock.Clock
  let count = 0
  let isQuiet = true
  let aheadAt = -Infinity
  const send = Effect.suspend(() => {
    const channels = [...asked]
    const gathered = count
    asked.clear()
    count = 0
    // A notification has a transaction id, and so its commit would wait for the disk, for nothing that has to be kept.
    return Effect.as(
      sql`SELECT pg_notify(channel, ''), set_config('synchronous_commit', 'off', true) FROM unnest(${channels}::text[]) AS channel`,
      gathered
    )
  })
  // What is still gathered when a program ends is told by nobody else.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => asked.size === 0 ? Effect.void : Effect.ignore(Effect.timeoutOption(send, farewellLimit)))
  )
  const trySending = Effect.catch(
    send,
    (error) => Effect.as(Effect.logDebug(`a notification was not sent: ${SqlErrors.serverText(error)}`), Infinity)
  )
  yield* Effect.gen(function*() {
    yield* Queue.take(requests)
    isQuiet = false
    const gathered = yield* trySending
    // What one that was sent ahead has announced is not to wait.
    if (gathered > 0) yield* Effect.sleep(gatheringFor(gathered))
    isQuiet = asked.size === 0
  }).pipe(Effect.forever, Effect.forkScoped)
  return {
    notify: (...channels) => {
      count++
      for (const channel of channels) asked.add(channel)
      Queue.offerUnsafe(requests, void 0)
    },
    notifyAhead: (channel) => {
      // A COMMIT that is slow, or fails, is not to be told of ahead for each that is tried meanwhile.
      const now = clock.currentTimeMillisUnsafe()
      if (!isQuiet || Math.abs(now - aheadAt) < betweenAhead) return
      aheadAt = now
      asked.add(channel)
      Queue.offerUnsafe(requests, void 0)
    }
  }
})

const gatheringFor = (gathered: number): number =>
  Math.min(longestGathering, Math.max(shortestGathering, gathered * gatheringForEach))
