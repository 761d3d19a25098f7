/**
 * Delivers what is pending: finds due entries, hands each to the publisher, marks it delivered, or lets it wait, or declares it dead.
 *
 * Any number may run on one database; they share the work by row locks. Exactly once to a transactional publisher, at least once to an
 * external one. Where there are `Routes`, it delivers to each of them as well, each by itself: none waits for another.
 */
import { EventPublisher } from "@zakops/events/EventPublisher"
import { quietly } from "@zakops/events/Tracing"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { DeliveryLimits, problemOf } from "./DeliveryLimits.ts"
import { processorClient } from "./connecting/ConnectionSettings.ts"
import * as ExternalDelivery from "./delivering/ExternalDelivery.ts"
import type { InvalidSetting } from "./InvalidSetting.ts"
import { OutboxConfig } from "./OutboxConfig.ts"
import * as ProcessorCounts from "./delivering/ProcessorCounts.ts"
import type { Lane } from "./delivering/Lane.ts"
import { RetryPolicy } from "./RetryPolicy.ts"
import { nameOf, problemOf as problemOfRoutes, Routes } from "./Routes.ts"
import { makeRouting } from "./routing/Routing.ts"
import { reportWorker } from "./workers/reportWorker.ts"
import { Tally } from "./workers/Tally.ts"
import * as TransactionalDelivery from "./delivering/TransactionalDelivery.ts"
import { Wakeup } from "./Wakeup.ts"

const deliverTo = <A>(
  { destination }: { readonly destination: string },
  of: Omit<Lane, "tally">,
  make: (lane: Lane) => A
) => {
  const lane: Lane = { ...of, tally: new Tally(destination) }
  return { destination, lane, delivery: make(lane) }
}

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
      const routes = yield* Routes
      const problem = problemOfRoutes(routes, publisher.destination)
      if (problem !== undefined) return yield* Effect.die(new TypeError(`Routes: ${problem}`))
      const lane = (route: string | null) => ({
        route,
        routing: route === null ? makeRouting(routes, wakeup.announce) : undefined
      })
      const deliveries = [
        deliverTo(publisher, lane(null), (lane) =>
          publisher._tag === "External"
            ? ExternalDelivery.make(db, publisher, settings, policy, limits, lane)
            : TransactionalDelivery.make(db, publisher, settings, policy, limits, lane)),
        ...routes.map((route) => {
          const destination = nameOf(route)
          const to = { ...route.to, destination }
          return deliverTo(
            to,
            lane(destination),
            (lane) => ExternalDelivery.make(db, to, settings, policy, route.limits ?? {}, lane)
          )
        })
      ]

      // The main destination first: what it hands on is delivered in the same round.
      const runOnce = Effect.gen(function*() {
        let all = { counts: ProcessorCounts.none, more: false }
        for (const { delivery } of deliveries) {
          const { counts, down, more } = yield* delivery.runOnce
          // What a destination that is down has handed back is due again at once.
          const again = !down && (more || ProcessorCounts.total(counts) > 0)
          all = { counts: ProcessorCounts.add(all.counts, counts), more: all.more || again }
        }
        return all
      })

      const drain = Effect.gen(function*() {
        let all = ProcessorCounts.none
        while (true) {
          const { counts, more } = yield* runOnce
          all = ProcessorCounts.add(all, counts)
          if (!more) return all
        }
      })

      return OutboxProcessor.of({
        runOnce: Effect.map(runOnce, ({ counts }) => counts),
        drain,
        start: Effect.gen(function*() {
          yield* quietly(wakeup.listenToOthers)
          // They stop at the same time, so that stopping takes no longer for each route.
          const together = yield* Scope.fork(yield* Effect.scope, "parallel")
          const listener = Effect.map(
            wakeup.isListening,
            (listening) => listening ? "listening" as const : "polling" as const
          )
          for (const { delivery, destination, lane: { route, tally } } of deliveries) {
            const vitals = Effect.map(listener, (listener) => ({ ...delivery.vitals(), listener }))
            yield* Effect.gen(function*() {
              yield* reportWorker(db, { destination, route: route !== null }, tally, vitals)
              yield* delivery.start(yield* wakeup.watch)
            }).pipe(quietly, Scope.provide(yield* Scope.fork(together)))
          }
        })
      })
    })
  )
}
