/**
 * Delivery to an external publisher: claim and commit, publish with no transaction open, settle by claim.
 *
 * At least once, and one after another for each ordering key. While it runs, claiming, publishing and settling overlap, so that one slow
 * entry does not hold up the rest of its batch. It holds at most two batches, in number and in bytes.
 */
import type { External } from "@zakops/events/EventPublisher"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import type { Attempt } from "./attemptDelivery.ts"
import { attemptDelivery, handBack } from "./attemptDelivery.ts"
import { attemptRun, toRuns } from "./attemptRun.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { claimEntries } from "./claimEntries.ts"
import type { Limits } from "./DeliveryLimits.ts"
import { dueSuspect } from "./dueSuspect.ts"
import { HeldEntries } from "./HeldEntries.ts"
import { untilWorth } from "./idle.ts"
import { outlastTrouble } from "./outlastTrouble.ts"
import type { OutboxSettings } from "./OutboxConfig.ts"
import type { ClaimedEntry } from "./OutboxEntry.ts"
import { renewLeases } from "./renewLeases.ts"
import type { Selection } from "./Selection.ts"
import { settleAttempts } from "./settleAttempts.ts"
import { shadowSink } from "./shadowSink.ts"
import type { Take } from "./takeDue.ts"
import { takeDue } from "./takeDue.ts"
import { tidyUp } from "./tidyUp.ts"
import { workerName } from "./worker.ts"

/** How long a stopping processor gives the database to take back what it still held. */
const handBackLimit = Duration.seconds(2)

export const make = (
  db: Database,
  publisher: External,
  settings: OutboxSettings,
  policy: RetrySchedule,
  limits: Limits
) => {
  const { destination } = publisher
  const { batchBytes, batchSize, concurrency, drainTimeout, lease, pollInterval } = settings
  const claim = claimEntries(db, workerName)
  const attempt = attemptDelivery(publisher, shadowSink(db), policy, settings.publishTimeout)
  const settle = settleAttempts(db, destination)
  const renew = renewLeases(db)
  const tidy = tidyUp(db, destination, pollInterval)
  const suspect = dueSuspect(db, destination)
  const take = (inFlight: (type: string) => number) => takeDue(db, limits, destination, { bytes: batchBytes, inFlight })

  /** Claims what the selection takes, and hands it on. */
  const claiming =
    (hold: (entries: ReadonlyArray<ClaimedEntry>, since: number) => Effect.Effect<unknown>) => (selection: Selection) =>
      Effect.gen(function*() {
        const since = yield* Clock.currentTimeMillis
        const { entries, met, moved } = yield* claim(selection, randomUUID(), lease)
        yield* hold(entries, since)
        return { met, moved, taken: entries.length }
      })

  const takeOnce = take(() => 0)

  /** Takes one batch through to the end: what is due, or else the one that has to be delivered alone. */
  const runOnce = Effect.gen(function*() {
    const { dead } = yield* tidy.now
    const entries: Array<ClaimedEntry> = []
    const keep = claiming((claimed) => Effect.sync(() => entries.push(...claimed)))
    const { more } = yield* takeOnce(batchSize, keep)
    if (entries.length === 0) yield* keep(yield* suspect)
    const attempts: Array<Attempt> = []
    yield* Effect.forEach(
      toRuns(entries),
      (run) =>
        attemptRun(run, attempt, () => Effect.succeed(true), (ended) => Effect.sync(() => attempts.push(...ended))),
      { concurrency, discard: true }
    )
    const counts = yield* settle(attempts)
    return {
      counts: { ...counts, dead: counts.dead + dead },
      more: more || entries.length > 0,
      down: attempts.some(({ heard }) => heard._tag === "Down")
    }
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
    const held = new HeldEntries(lease)
    const takeNextDue = take((type) => held.ofType(type))
    const attempts = yield* Queue.unbounded<Attempt>()
    // What was settled may have made something due that claiming did not know of when it went to wait: a retry, the next of a key.
    const changed = yield* Queue.sliding<void>(1)
    const woken = Effect.raceFirst(wakeup, Queue.take(changed))
    const waitUntilWorth = untilWorth(db, woken, pollInterval)
    let breaker: CircuitBreaker.CircuitBreaker = CircuitBreaker.closed
    const allSettled = room.withPermits(capacity)(Effect.void)

    const hear = (heard: Attempt["heard"]) => {
      if (heard._tag === "Nothing") return Effect.void
      const before = breaker
      breaker = heard._tag === "Down" ? CircuitBreaker.down(before) : CircuitBreaker.closed
      if (breaker === before) return Effect.void
      return breaker._tag === "Open" && heard._tag === "Down"
        ? Effect.logWarning(`${destination} is down, its entries wait uncharged: ${heard.reason}`)
        : Effect.logInfo(`${destination} is up again`)
    }

    const settleGroup = Effect.gen(function*() {
      const group = yield* Queue.takeAll(attempts)
      for (const { heard } of group) yield* hear(heard)
      yield* outlastTrouble("settling failed", settle(group))
      held.settled(group.map(({ entry }) => entry))
      yield* Queue.offer(changed, void 0)
      yield* room.release(group.length)
    })
    yield* settleGroup.pipe(Effect.forever, Effect.forkScoped)

    yield* Effect.gen(function*() {
      const begun = yield* Clock.currentTimeMillis
      held.renewed(yield* renew(held.all, lease), begun)
    }).pipe(
      Effect.catch((error) => Effect.logWarning(`renewing leases failed: ${SqlErrors.serverText(error)}`)),
      Effect.delay(Duration.times(lease, 1 / 3)),
      Effect.forever,
      Effect.forkScoped
    )

    const end = (ended: ReadonlyArray<Attempt>) => {
      held.ended(ended.map(({ entry }) => entry))
      return Queue.offerAll(attempts, ended)
    }
    const publish = (entry: ClaimedEntry) =>
      publishing.withPermit(Effect.suspend(() => {
        held.begun(entry)
        return attempt(entry)
      }))
    const deliveries = yield* FiberSet.make()
    const begin = (run: ReadonlyArray<ClaimedEntry>) =>
      FiberSet.run(deliveries, attemptRun(run, publish, (entry) => held.isSafe(entry), end))

    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        const drained = Effect.interruptible(allSettled)
        if (Option.isSome(yield* Effect.timeoutOption(drained, drainTimeout))) return
        yield* FiberSet.clear(deliveries)
        yield* Queue.offerAll(attempts, held.unended.map(({ begun, entry }) => handBack(entry, begun)))
        const inTime = yield* Effect.timeoutOption(drained, handBackLimit)
        yield* Effect.logWarning(
          Option.isSome(inTime)
            ? "stopped before all deliveries had ended; the rest was handed back"
            : "stopped without the database: what was in flight is taken up again when its leases run out"
        )
      })
    )

    // Nothing interrupts between the moments that room is taken, entries are claimed, and their deliveries begin: an entry lost on the
    // way would wait for its lease, and its room would be missed for ever.
    const taking = <A>(
      limit: number,
      waitForRoom: number,
      takeUpTo: (limit: number, take: Take<never>) => Effect.Effect<A, SqlError>
    ) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          yield* restore(room.take(waitForRoom))
          yield* room.release(waitForRoom - limit)
          let left = limit
          const hold = Effect.fnUntraced(function*(entries: ReadonlyArray<ClaimedEntry>, since: number) {
            left -= entries.length
            held.add(entries, since)
            yield* Effect.forEach(toRuns(entries), begin, { discard: true })
          })
          return yield* Effect.ensuring(takeUpTo(limit, claiming(hold)), Effect.suspend(() => room.release(left)))
        })
      )

    /** When the last of what is in flight has ended, one entry, and nothing beside it. */
    const takeAlone = (selection: Effect.Effect<Selection>) =>
      Effect.andThen(
        taking(1, capacity, (_, take) => Effect.flatMap(selection, take)),
        allSettled
      )

    const takeNext = Effect.gen(function*() {
      if (breaker._tag === "Open") {
        yield* Effect.sleep(breaker.wait)
        breaker = CircuitBreaker.probe(breaker)
        yield* taking(1, capacity, takeNextDue)
        yield* allSettled
        return
      }
      const { suspects } = yield* tidy.atTimes
      if (suspects) yield* takeAlone(suspect)
      const { again, more } = yield* taking(batchSize, batchSize, takeNextDue)
      if (!more) yield* waitUntilWorth(again)
    })
    yield* outlastTrouble("claiming failed", takeNext).pipe(Effect.forever, Effect.forkScoped)
  })

  return { runOnce, start }
}
