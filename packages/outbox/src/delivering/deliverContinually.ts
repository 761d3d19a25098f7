/**
 * Delivers what goes to an external publisher, on and on: claiming, publishing and settling overlap, so that one slow entry does not hold
 * up the rest of its batch. It holds at most two batches, in number and in bytes.
 */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type { SqlError } from "effect/sql/SqlError"
import type { ClaimedEntry } from "../claiming/OutboxEntry.ts"
import { renewLeases } from "../claiming/renewLeases.ts"
import type { Selection } from "../claiming/Selection.ts"
import type { Looking, Take } from "../claiming/takeDue.ts"
import { outlastTrouble } from "../connecting/outlastTrouble.ts"
import type { Vitals } from "../workers/beat.ts"
import type { Attempt, Begun } from "./attemptDelivery.ts"
import { handBack } from "./attemptDelivery.ts"
import { toRuns } from "./attemptRun.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { dispatchRuns } from "./dispatchRuns.ts"
import type { ExternalMeans } from "./externalMeans.ts"
import { handBackUnended } from "./externalMeans.ts"
import { gatherAttempts } from "./gatherAttempts.ts"
import { HeldEntries } from "./HeldEntries.ts"
import { makeIdling } from "./idle.ts"
import { listenTo } from "./listenTo.ts"
import { settleAttempts } from "./settleAttempts.ts"

/** How long a stopping processor gives the database to take back what it still held. */
const handBackLimit = Duration.seconds(2)
/** How long claiming waits for room for a whole batch before it takes less. */
const patience = Duration.millis(20)
/** Entries that are delivered alone, one after another, before the others have their turn again. */
const mostAlone = 10

export const deliverContinually = (
  { attemptHeld, capacityBeside, claiming, db, destination, lane, limits, settings, suspect, take, tidy }: ExternalMeans
) => {
  const { batchBytes, batchSize, concurrency, drainTimeout, lease, pollInterval } = settings
  const renew = renewLeases(db)
  // Two batches: one is being published while the next is claimed.
  const capacity = batchSize * 2
  let vitals: () => Pick<Vitals, "breaker" | "holding"> = () => ({ breaker: "closed", holding: 0 })

  /**
   * Runs in the scope until it closes. Closing stops claiming, lets what is in flight finish within the drain limit, hands the rest back
   * without a charge, and returns when the database knows.
   */
  const start = Effect.fnUntraced(function*(bell: Queue.Queue<void>) {
    const held = new HeldEntries(lease)
    const takeNextDue = (limit: number, takeUp: Take<never>, looking: Looking) =>
      take(capacityBeside(held, looking), limit, takeUp)
    // What was settled has made room. One fiber waits for that at a time.
    const changed = yield* Queue.sliding<void>(1)
    // And it may have made something due: a retry, the next of a key or of a line.
    const mayFree = ({ entry, fact }: Attempt) =>
      fact._tag !== "Delivered" || entry.orderingKey !== null || limits.types?.[entry.eventType] !== undefined
    const { ended, group } = yield* gatherAttempts(held, batchSize / 2, mayFree)
    const { afterLook, isAwake } = makeIdling(db, lane.route, bell, pollInterval)
    const settle = settleAttempts(db, destination, lane, (statement) => outlastTrouble("settling failed", statement))
    const { breaker, hear, probe } = yield* listenTo(destination)
    vitals = () => ({ breaker: CircuitBreaker.nameOf(breaker()), holding: held.size })

    const until = (holds: () => boolean): Effect.Effect<void> =>
      Effect.suspend(() => holds() ? Effect.void : Effect.andThen(Queue.take(changed), until(holds)))
    const allSettled = until(() => held.size === 0)
    const room = () => held.size > 0 && held.bytes >= 2 * batchBytes ? 0 : Math.min(batchSize, capacity - held.size)
    /** A batch's worth, or what there is when that does not come about soon. */
    const someRoom = Effect.suspend(() =>
      room() === batchSize
        ? Effect.void
        : Effect.andThen(
          Effect.timeoutOption(until(() => room() === batchSize), patience),
          until(() => room() > 0)
        )
    )

    const settleGroup = Effect.gen(function*() {
      const attempts = yield* group
      yield* outlastTrouble("settling failed", settle(attempts))
      held.settled(attempts.map(({ entry }) => entry))
      yield* Queue.offer(changed, void 0)
      if (attempts.some(mayFree)) yield* Queue.offer(bell, void 0)
    })
    yield* settleGroup.pipe(Effect.forever, Effect.forkScoped)

    yield* Effect.gen(function*() {
      const since = yield* Clock.currentTimeMillis
      held.renewed(yield* renew(held.all, lease), since)
    }).pipe(
      SqlErrors.lostAsFailure,
      Effect.catch((error) => Effect.logWarning(`renewing leases failed: ${SqlErrors.serverText(error)}`)),
      Effect.delay(Duration.times(lease, 1 / 3)),
      Effect.forever,
      Effect.forkScoped
    )

    const end = (attempts: ReadonlyArray<Attempt>) => {
      held.ended(attempts)
      for (const { heard } of attempts) hear(heard)
      ended(attempts)
    }
    // What was claimed a moment before the destination was found to be down is not tried on it.
    const attemptUnlessDown = (entry: ClaimedEntry) =>
      Effect.suspend(() =>
        CircuitBreaker.nameOf(breaker()) === "open"
          ? Effect.succeed<Begun>({ done: handBack(entry, false) })
          : attemptHeld(held, entry)
      )

    const { abandon, dispatch } = yield* dispatchRuns({
      concurrency,
      timeout: settings.publishTimeout,
      doing: { attempt: attemptUnlessDown, ended: end },
      handBack: (run) => {
        const these = new Set(run)
        end(handBackUnended(held).filter(({ entry }) => these.has(entry)))
      }
    })

    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        const drained = Effect.interruptible(allSettled)
        if (Option.isSome(yield* Effect.timeoutOption(drained, drainTimeout))) return
        yield* abandon
        end(handBackUnended(held))
        const inTime = yield* Effect.timeoutOption(drained, handBackLimit)
        yield* Effect.logWarning(
          Option.isSome(inTime)
            ? "stopped before all deliveries had ended; the rest was handed back"
            : "stopped without the database: what was in flight is taken up again when its leases run out"
        )
      })
    )

    // Nothing interrupts between the moments that entries are claimed and their deliveries begin: one that is lost on the way would wait
    // for its lease.
    const taking = <A>(takeThem: (take: Take<never>) => Effect.Effect<A, SqlError>) =>
      Effect.uninterruptible(
        takeThem(claiming(held, (entries) => dispatch(toRuns(entries))))
      )

    /** When the last of what is in flight has ended, what the selection takes, and nothing beside it. */
    const takeAlone = (selection: Effect.Effect<Selection>) =>
      Effect.gen(function*() {
        yield* allSettled
        const { taken } = yield* taking((take) => Effect.flatMap(selection, take))
        yield* allSettled
        return taken
      })

    // Deadlines pass while nothing can be delivered, too.
    const tidyOnAndOn = Effect.forever(Effect.andThen(Effect.uninterruptible(tidy.atTimes), Effect.sleep(pollInterval)))

    const takeNext = Effect.gen(function*() {
      const state = breaker()
      if (state._tag === "Open") {
        yield* Effect.timeoutOption(tidyOnAndOn, state.wait)
        // What is still on its way says nothing about the probe.
        yield* allSettled
        probe()
        // What was handed back lies in front of what has been met.
        const { taken } = yield* taking((take) => takeNextDue(1, take, "everywhere"))
        // Where nothing else is due, what is to be delivered alone is the probe.
        if (taken === 0) yield* takeAlone(suspect)
        yield* allSettled
        return
      }
      const { suspects } = yield* tidy.atTimes
      if (suspects) { for (let alone = 0; alone < mostAlone && (yield* takeAlone(suspect)) > 0; alone++); }
      yield* someRoom
      const since = yield* Clock.currentTimeMillis
      const round = yield* taking((take) => takeNextDue(room(), take, isAwake() ? "busyOnly" : "busyFirst"))
      yield* afterLook(round, since)
    })
    yield* outlastTrouble("claiming failed", takeNext).pipe(Effect.forever, Effect.forkScoped)
  })

  return { start, vitals: () => vitals() }
}
