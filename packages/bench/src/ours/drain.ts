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
import { mustHold, untilTrue } from "../measure.ts"
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

export const nothingLeft = "NOT EXISTS (SELECT FROM zakops.outbox WHERE NOT finished)"

/** The same as the indexes of the claim know it: of those with a key, and of those without one. */
export const allFinished =
  "NOT EXISTS (SELECT FROM zakops.outbox WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND destination IS NULL) " +
  "AND NOT EXISTS (SELECT FROM zakops.outbox WHERE ordering_key IS NOT NULL AND (NOT finished OR blocks))"

/** Delivers until that comes about, and stops: which is when the database knows of all that was delivered. */
export const deliverUntil = ({ start }: OutboxProcessor["Service"], enough: Effect.Effect<void>) =>
  Effect.scoped(Effect.andThen(start, enough))

const filling = <E>(
  url: string,
  publisher: Layer.Layer<EventPublisher, E, PgClient | SqlClient>,
  settings: Partial<OutboxSettings>,
  optionsOf?: (n: number) => Partial<EmitOptions>
) =>
  Effect.map(ours(url, { publisher, settings }), (services) => ({
    processor: Context.get(services, OutboxProcessor),
    fill: (count: number) => Effect.provideContext(emitMany(count, optionsOf), services)
  }))

/** To a publisher that does nothing. */
export const toExternal = (
  settings: Partial<OutboxSettings>,
  optionsOf?: (n: number) => Partial<EmitOptions>
): Open =>
(url) =>
  Effect.gen(function*() {
    const calls = countUntil()
    const { fill, processor } = yield* filling(url, layerExternal(takesAll(calls.hit)), settings, optionsOf)
    return {
      fill,
      drain: (count) => deliverUntil(processor, calls.until(count)),
      check: mustHold(url, nothingLeft)
    }
  })

/** To the event log. What is under way when it stops is rolled back: so it runs until nothing is left. */
export const toLog = (settings: Partial<OutboxSettings>): Open => (url) =>
  Effect.gen(function*() {
    const { fill, processor } = yield* filling(url, EventLog.layerPublisher, settings)
    const finished = yield* untilTrue(url, allFinished)
    return {
      fill,
      drain: (count) =>
        Effect.gen(function*() {
          yield* processor.start
          // What the log has numbered: costs the server nothing, however large it is.
          yield* yield* untilTrue(url, `SELECT last_value >= ${count} FROM zakops.agent_events_position_seq`)
          yield* finished
        })
    }
  })

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
