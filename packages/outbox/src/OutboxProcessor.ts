/**
 * Delivers what is pending: finds due entries, hands each to the publisher, marks it delivered, or lets it wait, or declares it dead.
 *
 * Any number may run on one database; they share the work by row locks. Exactly once to a transactional publisher, at least once to an
 * external one.
 */
import { EventPublisher } from "@zakops/events/EventPublisher"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { DeliveryLimits, problemOf } from "./DeliveryLimits.ts"
import { processorClient } from "./connecting/ConnectionSettings.ts"
import * as ExternalDelivery from "./delivering/ExternalDelivery.ts"
import type { InvalidSetting } from "./InvalidSetting.ts"
import { OutboxConfig } from "./OutboxConfig.ts"
import * as ProcessorCounts from "./delivering/ProcessorCounts.ts"
import { RetryPolicy } from "./RetryPolicy.ts"
import * as TransactionalDelivery from "./delivering/TransactionalDelivery.ts"
import { Wakeup } from "./Wakeup.ts"

export class OutboxProcessor extends Context.Service<OutboxProcessor, {
  /** Takes one batch of due entries through to the end. For tests and cron jobs. */
  readonly runOnce: Effect.Effect<ProcessorCounts.ProcessorCounts, SqlError>
  /** Repeats `runOnce` until nothing is due any more, and adds up. Entries that wait for a later attempt stay. */
  readonly drain: Effect.Effect<ProcessorCounts.ProcessorCounts, SqlError>
  /**
   * Delivers in the background until the scope closes, which then waits for what is in flight, at most `OUTBOX_DRAIN_TIMEOUT`, and hands
   * back the rest uncharged. Never fails: while the database is away it logs and tries again.
   */
  readonly start: Effect.Effect<void, InvalidSetting, Scope.Scope>
}>()("@zakops/outbox/OutboxProcessor") {
  static readonly layer = Layer.effect(
    OutboxProcessor,
    Effect.gen(function*() {
      const db = yield* Effect.provideService(Database.make, SqlClient, yield* processorClient)
      const publisher = yield* EventPublisher
      const settings = yield* OutboxConfig
      const policy = yield* RetryPolicy
      const limits = yield* DeliveryLimits
      const wrong = problemOf(limits)
      if (wrong !== undefined) return yield* Effect.die(new TypeError(`DeliveryLimits: ${wrong}`))
      const wakeup = yield* Wakeup
      const delivery = publisher._tag === "External"
        ? ExternalDelivery.make(db, publisher, settings, policy, limits)
        : TransactionalDelivery.make(db, publisher, settings, policy, limits)

      const drain = Effect.gen(function*() {
        let all = ProcessorCounts.none
        while (true) {
          const { counts, down, more } = yield* delivery.runOnce
          all = ProcessorCounts.add(all, counts)
          // What a destination that is down has handed back is due again at once.
          if (down || !more && ProcessorCounts.total(counts) === 0) return all
        }
      })

      return OutboxProcessor.of({
        runOnce: Effect.map(delivery.runOnce, ({ counts }) => counts),
        drain,
        start: Effect.gen(function*() {
          const watcher = yield* wakeup.watch
          yield* wakeup.listenToOthers
          yield* delivery.start(watcher)
        })
      })
    })
  )
}
