/**
 * Delivery to an external publisher: claim and commit, publish with no transaction open, settle by claim.
 *
 * At least once. While it runs, claiming, publishing and settling overlap, so that one slow entry does not hold up the rest of its batch.
 */
import type { External } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { randomUUID } from "node:crypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import type { Attempt } from "./attemptDelivery.ts"
import { attemptDelivery, handBack } from "./attemptDelivery.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { claimEntries } from "./claimEntries.ts"
import { outlastTrouble, untilWorth } from "./idle.ts"
import type { OutboxSettings } from "./OutboxConfig.ts"
import type { ClaimedEntry } from "./OutboxEntry.ts"
import { renewLeases } from "./renewLeases.ts"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import { settleAttempts } from "./settleAttempts.ts"
import { shadowSink } from "./shadowSink.ts"

/** How long a stopping processor gives the database to take back what it still held. */
const handBackLimit = Duration.seconds(2)

export const make = (db: Database, publisher: External, settings: OutboxSettings, policy: RetrySchedule) => {
  const claim = claimEntries(db)
  const attempt = attemptDelivery(publisher, shadowSink(db), policy, settings.publishTimeout)
  const settle = settleAttempts(db)
  const renew = renewLeases(db)
  const { batchSize, concurrency, drainTimeout, lease, pollInterval } = settings

  /** Takes one batch through to the end. */
  const runOnce = Effect.gen(function*() {
    const entries = yield* claim(randomUUID(), batchSize, lease)
    return yield* settle(yield* Effect.forEach(entries, attempt, { concurrency }))
  })

  /**
   * Runs in the scope until it closes. Closing stops claiming, lets what is in flight finish within the drain limit, hands the rest back
   * without a charge, and returns when the database knows.
   */
  const start = Effect.fnUntraced(function*(wakeup: Effect.Effect<void>) {
    // Two batches: one is being published while the next is claimed.
    const capacity = batchSize * 2
    const room = yield* Semaphore.make(capacity)
    const publishing = yield* Semaphore.make(concurrency)
    const held = new Map<string, ClaimedEntry>()
    const attempts = yield* Queue.unbounded<Attempt>()
    // A retry may fall due before all that the claiming below knew of when it went to wait.
    const rescheduled = yield* Queue.sliding<void>(1)
    const woken = Effect.raceFirst(wakeup, Queue.take(rescheduled))
    let breaker: CircuitBreaker.CircuitBreaker = CircuitBreaker.closed
    const allSettled = room.withPermits(capacity)(Effect.void)

    const hear = (heard: Attempt["heard"]) => {
      if (heard._tag === "Nothing") return Effect.void
      const before = breaker
      breaker = heard._tag === "Down" ? CircuitBreaker.down(before) : CircuitBreaker.closed
      if (breaker === before) return Effect.void
      return breaker._tag === "Open" && heard._tag === "Down"
        ? Effect.logWarning(`${publisher.destination} is down, its entries wait uncharged: ${heard.reason}`)
        : Effect.logInfo(`${publisher.destination} is up again`)
    }

    const settleGroup = Effect.gen(function*() {
      const group = yield* Queue.takeAll(attempts)
      for (const { heard } of group) yield* hear(heard)
      const { parked, retried } = yield* outlastTrouble("settling failed", settle(group))
      if (retried + parked > 0) yield* Queue.offer(rescheduled, void 0)
      for (const { entry } of group) held.delete(entry.id)
      yield* room.release(group.length)
    })
    yield* settleGroup.pipe(Effect.forever, Effect.forkScoped)

    yield* Effect.suspend(() => renew([...held.values()], lease)).pipe(
      Effect.catch((error) => Effect.logWarning(`renewing leases failed: ${SqlErrors.serverText(error)}`)),
      Effect.delay(Duration.times(lease, 1 / 3)),
      Effect.forever,
      Effect.forkScoped
    )

    const deliveries = yield* FiberSet.make()
    const begin = (entry: ClaimedEntry) =>
      FiberSet.run(
        deliveries,
        publishing.withPermit(attempt(entry)).pipe(Effect.flatMap((done) => Queue.offer(attempts, done)))
      )

    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        const drained = Effect.interruptible(allSettled)
        if (Option.isSome(yield* Effect.timeoutOption(drained, drainTimeout))) return
        yield* FiberSet.clear(deliveries)
        yield* Queue.offerAll(attempts, [...held.values()].map((entry) => handBack(entry)))
        const inTime = yield* Effect.timeoutOption(drained, handBackLimit)
        yield* Effect.logWarning(
          Option.isSome(inTime)
            ? "stopped before all deliveries had ended; the rest was handed back"
            : "stopped without the database: what was in flight is taken up again when its leases run out"
        )
      })
    )

    // Nothing interrupts between the moments that room is taken, entries are claimed, and their deliveries begin: an entry lost on the
    // way
    // would wait for its lease, and its room would be missed for ever.
    const take = (limit: number, waitForRoom: number) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          yield* restore(room.take(waitForRoom))
          yield* room.release(waitForRoom - limit)
          const entries = yield* Effect.onError(claim(randomUUID(), limit, lease), () => room.release(limit))
          for (const entry of entries) held.set(entry.id, entry)
          yield* room.release(limit - entries.length)
          yield* Effect.forEach(entries, begin, { discard: true })
          return entries.length
        })
      )

    const takeNext = Effect.gen(function*() {
      if (breaker._tag === "Open") {
        yield* Effect.sleep(breaker.wait)
        breaker = CircuitBreaker.probe(breaker)
        // When the last of what is in flight has ended.
        yield* take(1, capacity)
        yield* allSettled
        return
      }
      const taken = yield* take(batchSize, batchSize)
      if (taken < batchSize) yield* untilWorth(db, woken, pollInterval)
    })
    yield* outlastTrouble("claiming failed", takeNext).pipe(Effect.forever, Effect.forkScoped)
  })

  return { runOnce, start }
}
