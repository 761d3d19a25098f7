/** Personal fields: enciphered in every table, readable to handlers and deciders, forgotten when the key is deleted. */
import { assert, layer } from "@effect/vitest"
import * as Decider from "@zakops/event-store/Decider"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import * as PostgresSubjectKeys from "@zakops/event-store/PostgresSubjectKeys"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Personal from "@zakops/events/Personal"
import { SubjectKeys } from "@zakops/events/SubjectKeys"
import { OutboxProcessor } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.mergeAll(EventStore.layer, PostgresSubjectKeys.layer).pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

const Joined = EventDefinition.make("customer.joined", {
  aggregateType: "customer",
  subject: (customer) => customer.customerId,
  payload: Schema.Struct({
    customerId: Schema.String,
    plan: Schema.String,
    name: Personal.field(Schema.String),
    born: Personal.field(Schema.DateFromString)
  })
})
const Renamed = EventDefinition.make("customer.renamed", {
  version: 2,
  aggregateType: "customer",
  subject: (customer) => customer.customerId,
  payload: Schema.Struct({ customerId: Schema.String, name: Personal.field(Schema.String) }),
  upcasters: {
    // The field moved; what is enciphered in it moves along.
    1: (json) => {
      const { to, ...rest } = json as { readonly to: unknown }
      return { ...rest, name: to }
    }
  }
})

const Customer = Decider.make({
  aggregateType: "customer",
  definitions: [Joined, Renamed],
  initial: { names: [] as ReadonlyArray<string | Personal.Forgotten>, plan: "" },
  decide: (command: { readonly customerId: string; readonly join?: string; readonly rename?: string }) =>
    Result.succeed([
      ...(command.join === undefined
        ? []
        : [Joined.of({ ...command, plan: "gold", name: command.join, born: new Date(0) })]),
      ...(command.rename === undefined ? [] : [Renamed.of({ ...command, name: command.rename })])
    ]),
  evolve: (state, event) => ({
    names: [...state.names, event.data.name],
    plan: event.type === "customer.joined" ? event.data.plan : state.plan
  }),
  snapshot: {
    name: "names",
    version: 1,
    every: 2,
    state: Schema.Struct({
      names: Schema.Array(Schema.Union([Schema.String, Personal.Forgotten])),
      plan: Schema.String
    })
  }
})

layer(Live, { excludeTestServices: true })("personal fields", (it) => {
  it.effect("are written enciphered everywhere, and read by whoever has the keys", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load, read } = yield* EventStore
      const { drain } = yield* OutboxProcessor
      const customerId = randomUUID()
      yield* execute(Customer, customerId, { customerId, join: "Jane Doe" })
      yield* drain
      const stored = yield* sql<{ data: string }>`
        SELECT event_data::text AS data FROM zakops.agent_events WHERE aggregate_id = ${customerId}
        UNION ALL SELECT event_data::text FROM zakops.outbox WHERE aggregate_id = ${customerId}`
      assert.lengthOf(stored, 2)
      for (const { data } of stored) {
        assert.include(data, "gold")
        assert.notInclude(data, "Jane")
        assert.notInclude(data, "1970")
      }
      assert.deepStrictEqual((yield* load(Customer, customerId)).state, { names: ["Jane Doe"], plan: "gold" })
      const [event] = yield* Stream.runCollect(read({ aggregateType: "customer", aggregateId: customerId }))
      const { data } = yield* Joined.decode(event?.envelope ?? assert.fail())
      assert.deepStrictEqual(data, { customerId, plan: "gold", name: "Jane Doe", born: new Date(0) })
    }))

  it.effect("turn to forgotten, in events, state and snapshots, while the rest stays; nothing personal is written of that subject again", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const keys = yield* SubjectKeys
      const { execute, load } = yield* EventStore
      const [jane, john] = [randomUUID(), randomUUID()]
      for (const customerId of [jane, john]) {
        yield* execute(Customer, customerId, { customerId, join: "J", rename: "Smith" })
      }
      const snapshots = sql`SELECT 1 FROM zakops.snapshots WHERE state::text LIKE '%Smith%'`
      assert.lengthOf(yield* snapshots, 2)
      yield* keys.forget(jane)
      assert.lengthOf(yield* snapshots, 0)
      const { forgotten } = Personal
      assert.deepStrictEqual((yield* load(Customer, jane)).state, { names: [forgotten, forgotten], plan: "gold" })
      assert.deepStrictEqual((yield* load(Customer, john)).state, { names: ["J", "Smith"], plan: "gold" })
      yield* execute(Customer, john, { customerId: john, join: "J", rename: "Smith" })
      assert.lengthOf(yield* snapshots, 1, "what is loaded after the forgetting is kept again")
      const refused = yield* Effect.flip(execute(Customer, jane, { customerId: jane, rename: "Again" }))
      assert.strictEqual(refused._tag, "InvalidEvent")
      assert.include(refused.message, "was forgotten")
      assert.deepStrictEqual(
        yield* Effect.map(
          Renamed.make({ customerId: jane, name: forgotten }),
          ({ json }) => JSON.parse(json) as unknown
        ),
        { customerId: jane, name: { $personal: { forgotten: true } } },
        "what has been forgotten may be passed on"
      )
      yield* keys.forget("never seen")
      assert.strictEqual((yield* keys.findOrMake("never seen"))._tag, "Forgotten")
    }))

  it.effect("keep the key that a transaction was first to need, though it is rolled back", () =>
    Effect.gen(function*() {
      const { execute, transact } = yield* EventStore
      const keys = yield* SubjectKeys
      const customerId = randomUUID()
      yield* Effect.ignore(
        transact(Effect.andThen(execute(Customer, customerId, { customerId, join: "J" }), Effect.fail("no")))
      )
      assert.strictEqual((yield* keys.find(customerId))._tag, "Known")
    }))

  it.effect("are upcast as they are, and refused when they were changed or belong to another", () =>
    Effect.gen(function*() {
      const [one, other] = [randomUUID(), randomUUID()]
      const envelope = (schemaVersion: number, data: unknown) => ({
        id: randomUUID(),
        correlationId: one,
        aggregateType: "customer",
        aggregateId: one,
        eventType: "customer.renamed",
        schemaVersion,
        data,
        traceId: null,
        headers: {},
        createdAt: new Date(0),
        orderingKey: null,
        sequence: null
      })
      const enciphered = (customerId: string, name: string) =>
        Effect.map(
          Renamed.make({ customerId, name }),
          ({ json }) =>
            (JSON.parse(json) as {
              readonly name: { readonly $personal: { readonly subject: string; readonly text: string } }
            }).name
        )
      const mine = yield* enciphered(one, "Jane")
      yield* enciphered(other, "John")
      const decoded = yield* Renamed.decode(envelope(1, { customerId: one, to: mine }))
      assert.deepStrictEqual(decoded.data, { customerId: one, name: "Jane" })
      const flipped = `${mine.$personal.text[0] === "A" ? "B" : "A"}${mine.$personal.text.slice(1)}`
      for (
        const name of [
          "in the clear",
          { $personal: { ...mine.$personal, text: flipped } },
          { $personal: { ...mine.$personal, subject: other } },
          { $personal: { ...mine.$personal, subject: "unknown" } },
          { $personal: { ...mine.$personal, iv: "?" } }
        ]
      ) {
        const error = yield* Effect.flip(Renamed.decode(envelope(2, { customerId: one, name })))
        assert.strictEqual(error._tag, "UndecodableEvent")
      }
    }))
})
