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
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Limits } from "../DeliveryLimits.ts"
import { deliverSelection } from "./deliverSelection.ts"
import { isolateFailures } from "./isolateFailures.ts"
import { untilWorth } from "./idle.ts"
import { outlastTrouble } from "../connecting/outlastTrouble.ts"
import type { OutboxSettings } from "../OutboxConfig.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import type { Selection } from "../claiming/Selection.ts"
import type { Capacity } from "../claiming/takeDue.ts"
import { takeDue } from "../claiming/takeDue.ts"
import { tidyUp } from "./tidyUp.ts"

export const make = (
  db: Database,
  publisher: Transactional,
  settings: OutboxSettings,
  policy: RetrySchedule,
  limits: Limits
) => {
  const { destination } = publisher
  const { batchSize, pollInterval } = settings
  const deliver = deliverSelection(db, publisher)
  const isolate = isolateFailures(db, publisher, policy)
  const tidy = tidyUp(db, destination, pollInterval)
  const take = takeDue(db, limits, destination)
  const capacity: Capacity = {
    // The data stays in the database, and nothing of it can make this process crash.
    bytes: () => null,
    suspectsApart: false,
    free: () => batchSize,
    inFlight: () => 0,
    run: batchSize
  }

  const round = (tidied: { readonly dead: number }) =>
    Effect.gen(function*() {
      let counts: ProcessorCounts.ProcessorCounts = ProcessorCounts.none
      const { again, more } = yield* take(capacity, batchSize, (selection: Selection) =>
        Effect.gen(function*() {
          const taken = yield* Effect.catchIf(
            deliver(selection),
            (error: SqlError) => !SqlErrors.isDatabaseTrouble(error),
            () => isolate(selection)
          )
          counts = ProcessorCounts.add(counts, taken.counts)
          return { met: taken.met, moved: taken.moved, taken: ProcessorCounts.total(taken.counts) }
        }))
      if (counts.delivered > 0) yield* publisher.afterCommit
      yield* ProcessorCounts.record(counts)
      return { counts: { ...counts, dead: counts.dead + tidied.dead }, again, more, down: false }
    })

  const runOnce = Effect.flatMap(tidy.now, round)

  /** Runs in the scope until it closes; a transaction that is under way then is rolled back or has committed, whole either way. */
  const start = Effect.fnUntraced(function*(wakeup: Effect.Effect<void>) {
    const waitUntilWorth = untilWorth(db, wakeup, pollInterval)
    const next = Effect.gen(function*() {
      const { again, more } = yield* Effect.flatMap(tidy.atTimes, round)
      if (!more) yield* waitUntilWorth(again)
    })
    yield* outlastTrouble(`delivering to ${destination} failed`, next).pipe(Effect.forever, Effect.forkScoped)
  })

  return { runOnce, start }
}
