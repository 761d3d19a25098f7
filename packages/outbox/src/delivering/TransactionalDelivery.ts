/**
 * Delivery to a publisher in the same database: found, copied and marked delivered in one statement, which is one transaction.
 *
 * Exactly once, and in order for each ordering key. Nothing is claimed that anyone could see: the row lock is the claim, and a worker that
 * dies takes its transaction along. When a batch fails, the entries at fault are searched for by halves, and only they are charged.
 */
import type { Transactional } from "@zakops/events/EventPublisher"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { SqlError } from "effect/sql/SqlError"
import type { Limits } from "../DeliveryLimits.ts"
import { deliverSelection } from "./deliverSelection.ts"
import { isolateFailures } from "./isolateFailures.ts"
import { makeIdling } from "./idle.ts"
import type { Lane } from "./Lane.ts"
import { outlastTrouble } from "../connecting/outlastTrouble.ts"
import type { OutboxSettings } from "../OutboxConfig.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import type { Selection } from "../claiming/Selection.ts"
import type { Capacity, Looking } from "../claiming/takeDue.ts"
import { takeDue } from "../claiming/takeDue.ts"
import { tidyUp } from "./tidyUp.ts"

export const make = (
  db: Database,
  publisher: Transactional,
  settings: OutboxSettings,
  policy: RetrySchedule,
  limits: Limits,
  { routing, tally }: Lane
) => {
  const { destination } = publisher
  const { batchBytes, batchSize, pollInterval } = settings
  const deliver = deliverSelection(db, publisher, routing)
  const isolate = isolateFailures(db, publisher, routing, policy)
  const tidy = tidyUp(db, destination, null, tally, pollInterval)
  const capacityOf = (looking: Looking): Capacity => ({
    looking,
    // The data stays in the database, and nothing of it can make this process crash; but for what predicates have to see.
    bytes: () => (routing?.byPredicate.length ?? 0) > 0 ? batchBytes : null,
    suspectsApart: false,
    free: () => batchSize,
    inFlight: () => 0,
    run: batchSize,
    depth: batchSize
  })

  /** Rounds of one lane, each of which takes one batch through to the end. */
  const lane = (only?: "unkeyed") => {
    const take = takeDue(db, limits, destination, null, only)
    return (looking: Looking, tidied = { dead: 0 }) =>
      Effect.gen(function*() {
        let counts: ProcessorCounts.ProcessorCounts = ProcessorCounts.none
        let routed = 0
        const round = yield* take(capacityOf(looking), batchSize, (selection: Selection) =>
          Effect.gen(function*() {
            const taken = yield* Effect.catchIf(
              deliver(selection),
              (error: SqlError) => !SqlErrors.isDatabaseTrouble(error),
              () => isolate(selection)
            )
            counts = ProcessorCounts.add(counts, taken.counts)
            routed += taken.routed
            return { met: taken.met, moved: taken.moved, mark: taken.mark, taken: ProcessorCounts.total(taken.counts) }
          }))
        if (counts.delivered > 0) yield* publisher.afterCommit
        yield* tally.record(counts)
        if (routed > 0 && routing !== undefined) yield* Effect.andThen(tally.routed(routed), routing.announce)
        return { ...round, counts: { ...counts, dead: counts.dead + tidied.dead }, down: false }
      })
  }
  const wholeRound = lane()
  const runOnce = Effect.flatMap(tidy.now, (tidied) => wholeRound("everywhere", tidied))

  /** Runs in the scope until it closes; a transaction that is under way then is rolled back or has committed, whole either way. */
  const start = Effect.fnUntraced(function*(bell: Queue.Queue<void>) {
    const { afterLook, isAwake } = makeIdling(db, null, bell, pollInterval)
    const backlog = yield* Queue.sliding<void>(1)
    const look = lane()
    const next = Effect.gen(function*() {
      const since = yield* Clock.currentTimeMillis
      const tidied = yield* tidy.atTimes
      const round = yield* look(isAwake() ? "busyOnly" : "busyFirst", tidied)
      if (round.more) yield* Queue.offer(backlog, void 0)
      yield* afterLook(round, since)
    })
    const helpOut = lane("unkeyed")
    const help = Effect.gen(function*() {
      yield* Queue.take(backlog)
      while ((yield* helpOut("busyFirst")).more) { /* There is more than the first can do. */ }
    })
    const forGood = (work: Effect.Effect<void, SqlError>) =>
      outlastTrouble(`delivering to ${destination} failed`, work).pipe(Effect.forever, Effect.forkScoped)
    yield* forGood(next)
    // Postgres works on two batches at once. Two that have entries of the same keys would only wait for each other.
    yield* forGood(help)
  })

  return { runOnce, start, vitals: () => ({ holding: 0, breaker: "closed" as const }) }
}
