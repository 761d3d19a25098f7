/** Ours in a race to empty the outbox. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { Outbox } from "@zakops/outbox/Outbox"
import type { EmitOptions } from "@zakops/outbox"
import type { OutboxSettings } from "@zakops/outbox/OutboxConfig"
import { OutboxProcessor } from "@zakops/outbox/OutboxProcessor"
import { TransactionalPublisher } from "@zakops/outbox/TransactionalPublisher"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import { untilTrue } from "../measure.ts"
import { DealPriced, parts, payload, range } from "../payload.ts"
import type { Open } from "../peers/Drainer.ts"
import { countUntil } from "../peers/Drainer.ts"
import { layerExternal, ours, takesAll } from "./services.ts"

/** Emits `count` events, a thousand to a transaction. */
export const emitMany = Effect.fnUntraced(function*(
  count: number,
  optionsOf: (n: number) => Partial<EmitOptions> = () => ({})
) {
  const { emitAll } = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  yield* Effect.forEach(
    parts(count, 1000),
    (part) =>
      Effect.flatMap(
        Effect.forEach(part, (n) =>
          Effect.map(
            DealPriced.make(payload(n)),
            (event) => ({ event, correlationId: event.data.dealId, ...optionsOf(n) })
          )),
        (emissions) => transact(emitAll(emissions))
      ),
    { concurrency: 2, discard: true }
  )
})

export const allFinished = "NOT EXISTS (SELECT FROM zakops.outbox WHERE NOT finished)"

const withProcessor = <E>(
  publisher: Layer.Layer<EventPublisher, E, PgClient | SqlClient>,
  settings: Partial<OutboxSettings>,
  until: (url: string) => (count: number) => Effect.Effect<void>,
  optionsOf?: (n: number) => Partial<EmitOptions>
): Open =>
(url) =>
  Effect.gen(function*() {
    const services = yield* ours(url, { publisher, settings })
    const { start } = Context.get(services, OutboxProcessor)
    const finished = yield* untilTrue(url, allFinished)
    return {
      fill: (count) => Effect.provideContext(emitMany(count, optionsOf), services),
      drain: (count) => Effect.andThen(start, Effect.andThen(until(url)(count), finished))
    }
  })

/** To a publisher that does nothing. */
export const toExternal = (
  settings: Partial<OutboxSettings>,
  optionsOf?: (n: number) => Partial<EmitOptions>
): Open =>
(url) => {
  const calls = countUntil()
  return withProcessor(layerExternal(takesAll(calls.hit)), settings, () => calls.until, optionsOf)(url)
}

/** To the event log. */
export const toLog = (settings: Partial<OutboxSettings>): Open =>
  withProcessor(EventLog.layerPublisher, settings, (url) => (count) =>
    Effect.scoped(Effect.flatten(
      // What the log has numbered: costs the server nothing, however large it is.
      untilTrue(url, `SELECT last_value >= ${count} FROM zakops.agent_events_position_seq`)
    )))

/** Emits so many events from the n-th on, in one transaction. */
export const openFilling = Effect.fnUntraced(function*(url: string) {
  const services = yield* ours(url, { publisher: layerExternal(takesAll(() => {})) })
  const { emitAll } = Context.get(services, Outbox)
  const { transact } = Context.get(services, TransactionalPublisher)
  return (from: number, count: number) =>
    Effect.flatMap(
      Effect.forEach(range(count), (n) =>
        Effect.map(DealPriced.make(payload(from + n)), (event) => ({ event, correlationId: event.data.dealId }))),
      (emissions) =>
        transact(emitAll(emissions))
    )
})
