/** What every EventPublisher has to do, whatever stands behind it. Run it for each implementation. */
import { assert, layer } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { emitDeals, services } from "./outbox.ts"
import * as TestDatabase from "./TestDatabase.ts"

/** The far end of a publisher: what has arrived there, each id once. */
export class Destination extends Context.Service<Destination, {
  readonly received: Effect.Effect<ReadonlyArray<EventEnvelope>>
}>()("@zakops/test/Destination") {}

const Anything = EventDefinition.make("anything.happened", {
  version: 7,
  aggregateType: "thing",
  payload: Schema.Unknown,
  upcasters: { 6: (json) => json }
})

export const eventPublisherContract = <E>(
  name: string,
  implementation: Layer.Layer<EventPublisher | Destination, E, TestDatabase.Client>
) =>
  layer(services().pipe(Layer.provideMerge(implementation), Layer.provideMerge(TestDatabase.layer)))(name, (it) => {
    const arrived = (ids: ReadonlyArray<string>) =>
      Effect.gen(function*() {
        const { received } = yield* Destination
        return (yield* received).filter(({ id }) => ids.includes(id))
      })

    it.effect("carries every field of the envelope, and the data to the letter", () =>
      Effect.gen(function*() {
        const { drain } = yield* OutboxProcessor
        const { transact } = yield* TransactionalPublisher
        const outbox = yield* Outbox
        const data = {
          text: "ünï©ødé \u2028 \\ \" ' 😀",
          numbers: [0, -1.5, 1e21, Number.MAX_SAFE_INTEGER],
          deep: { empty: {}, list: [[], [null, true, false]] }
        }
        const correlationId = randomUUID()
        const headers = { tenant: "t1", "x-äö": "ß" }
        const id = yield* transact(Effect.gen(function*() {
          const event = yield* Anything.make(data, { aggregateId: "thing 1" })
          return yield* outbox.emit(event, { correlationId, headers, traceId: "0af7651916cd43dd8448eb211c80319c" })
        }))
        yield* drain
        const [envelope] = yield* arrived([id])
        const { createdAt, sequence: _, ...rest } = envelope ?? assert.fail("nothing arrived")
        assert.deepStrictEqual(rest, {
          id,
          correlationId,
          aggregateType: "thing",
          aggregateId: "thing 1",
          eventType: "anything.happened",
          schemaVersion: 7,
          data,
          traceId: "0af76519-16cd-43dd-8448-eb211c80319c",
          headers,
          orderingKey: null
        })
        assert.instanceOf(createdAt, Date)
      }))

    it.effect("receives all of many events", () =>
      Effect.gen(function*() {
        const { drain } = yield* OutboxProcessor
        const ids = yield* emitDeals(250)
        assert.deepInclude(yield* drain, { delivered: 250, retried: 0, dead: 0 })
        assert.sameMembers((yield* arrived(ids)).map(({ id }) => id), [...ids])
      }))

    it.effect("receives nothing of what was rolled back", () =>
      Effect.gen(function*() {
        const { drain } = yield* OutboxProcessor
        const { transact } = yield* TransactionalPublisher
        const given: Array<string> = []
        const change = Effect.tap(emitDeals(2), (ids) => Effect.sync(() => given.push(...ids)))
        yield* Effect.ignore(transact(Effect.andThen(change, Effect.fail("no"))))
        yield* drain
        assert.lengthOf(given, 2)
        assert.deepStrictEqual(yield* arrived(given), [])
      }))

    it.effect("has an event once that is delivered to it again", () =>
      Effect.gen(function*() {
        const { drain } = yield* OutboxProcessor
        const sql = yield* SqlClient
        const [id = ""] = yield* emitDeals(1)
        yield* drain
        yield* sql`UPDATE zakops.outbox SET status = 'pending', delivered_at = NULL WHERE id = ${id}::uuid`
        assert.strictEqual((yield* drain).delivered, 1)
        assert.lengthOf(yield* arrived([id]), 1)
      }))
  })
