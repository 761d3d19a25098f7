/** Making an event validates it; decoding one upcasts it, and refuses what this build cannot read. */
import { assert, describe, it } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Item = Schema.Struct({ name: Schema.String, price: Schema.Number })
const Ordered = EventDefinition.make("order.placed", {
  version: 3,
  aggregateType: "order",
  aggregateId: (order) => order.orderId,
  payload: Schema.Struct({
    orderId: Schema.NonEmptyString,
    items: Schema.Array(Item),
    note: Schema.optionalKey(Schema.String)
  }),
  upcasters: {
    1: (json) => ({ orderId: (json as { readonly order: string }).order }),
    2: (json) => ({ items: [], ...(json as object) })
  }
})

const envelope = (schemaVersion: number, data: unknown): EventEnvelope => ({
  id: "0190a8f2-0000-7000-8000-000000000001",
  correlationId: "0190a8f2-0000-7000-8000-000000000002",
  aggregateType: null,
  aggregateId: null,
  eventType: "order.placed",
  schemaVersion,
  data,
  traceId: null,
  headers: {},
  createdAt: new Date(0),
  orderingKey: null,
  sequence: null
})

describe("making an event", () => {
  it.effect("encodes it once, with the type, version and aggregate of its definition", () =>
    Effect.gen(function*() {
      const data = { orderId: "o1", items: [{ name: "tea", price: 2.5 }] }
      assert.deepStrictEqual(yield* Ordered.make(data), {
        type: "order.placed",
        schemaVersion: 3,
        aggregateType: "order",
        aggregateId: "o1",
        data,
        json: "{\"orderId\":\"o1\",\"items\":[{\"name\":\"tea\",\"price\":2.5}]}",
        delivery: undefined
      })
      assert.strictEqual((yield* Ordered.make(data, { aggregateId: "other" })).aggregateId, "other")
    }))

  const one = (item: { readonly name: string; readonly price: number }) => ({ orderId: "o1", items: [item] })

  it.effect.each([
    {
      what: "a payload that its Schema rejects",
      data: { orderId: "", items: [] },
      field: "data.orderId",
      problem: /is not valid/
    },
    { what: "NaN", data: one({ name: "tea", price: NaN }), field: "data.items[0].price", problem: /is NaN/ },
    {
      what: "infinity",
      data: one({ name: "tea", price: -Infinity }),
      field: "data.items[0].price",
      problem: /is -Infinity/
    },
    { what: "NUL", data: one({ name: "t\u0000a", price: 1 }), field: "data.items[0].name", problem: /NUL character/ },
    {
      what: "half a surrogate pair",
      data: { ...one({ name: "tea", price: 1 }), note: "\ud83d" },
      field: "data.note",
      problem: /surrogate/
    }
  ])("refuses $what, naming the field", ({ data, field, problem }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Ordered.make(data))
      assert.strictEqual(error._tag, "InvalidEvent")
      assert.deepInclude(error, { eventType: "order.placed", field })
      assert.match(error.problem, problem)
      assert.include(error.message, `event "order.placed" refused: ${field}`)
    }))

  it.effect("refuses what its Schema encodes to something else than JSON", () =>
    Effect.gen(function*() {
      const Dated = EventDefinition.make("dated", { payload: Schema.Struct({ at: Schema.Date, big: Schema.Unknown }) })
      assert.deepInclude(yield* Effect.flip(Dated.make({ at: new Date(0), big: 1 })), { field: "data.at" })
      const Loose = EventDefinition.make("loose", { payload: Schema.Unknown })
      for (
        const [value, field] of [[1n, "data"], [[undefined], "data[0]"], [{ "a b": () => 1 }, "data[\"a b\"]"]] as const
      ) {
        assert.deepInclude(yield* Effect.flip(Loose.make(value)), { field })
      }
    }))
})

describe("an event that is read twice", () => {
  it.effect("is the same both times, though an upcaster changes what it is given", () =>
    Effect.gen(function*() {
      const Priced = EventDefinition.make("priced", {
        version: 2,
        payload: Schema.Struct({ cents: Schema.Int }),
        upcasters: {
          1: (json) => {
            const given = json as { cents: number }
            given.cents *= 100
            return given
          }
        }
      })
      const old = { ...envelope(1, { cents: 3 }), eventType: "priced" }
      assert.deepStrictEqual((yield* Priced.decode(old)).data, { cents: 300 })
      assert.deepStrictEqual((yield* Priced.decode(old)).data, { cents: 300 })
    }))
})

describe("a definition", () => {
  it("is refused where it is written if it could never work", () => {
    const payload = Schema.Unknown
    const step = (json: unknown) => json
    const wrong: ReadonlyArray<() => unknown> = [
      () => EventDefinition.make("", { payload }),
      () => EventDefinition.make("x".repeat(101), { payload }),
      () => EventDefinition.make("x", { payload, aggregateType: "x".repeat(51) }),
      () => EventDefinition.make("x", { payload, version: 0 }),
      () => EventDefinition.make("x", { payload, version: 1.5 }),
      () => EventDefinition.make("x", { payload, version: 4, upcasters: { 1: step, 3: step } }),
      () => EventDefinition.make("x", { payload, version: 3, upcasters: { 1: step } }),
      () => EventDefinition.make("x", { payload, version: 2, upcasters: { 2: step } })
    ]
    for (const make of wrong) assert.throws(make, /the definition of event .* is wrong/)
    assert.throws(
      () => EventDefinition.make("x", { payload, version: 4, upcasters: { 1: step, 3: step } }),
      /do not lead to version 4: see version 2/
    )
  })
})

describe("decoding an event", () => {
  it.effect("takes the newest version, and older ones through every upcaster in turn", () =>
    Effect.gen(function*() {
      const decoded = { orderId: "o1", items: [] }
      for (const [version, data] of [[3, decoded], [2, { orderId: "o1" }], [1, { order: "o1" }]] as const) {
        const read = yield* Ordered.decode(envelope(version, data))
        assert.deepStrictEqual(read.data, decoded)
        assert.strictEqual(read.envelope.schemaVersion, version)
      }
    }))

  it.effect("refuses a version that this build does not know yet", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Ordered.decode(envelope(4, {})))
      assert.deepInclude(error, { _tag: "NewerThanThisBuild", version: 4, newestKnown: 3 })
    }))

  it.effect("refuses data that its Schema rejects, and keeps what an upcaster threw", () =>
    Effect.gen(function*() {
      const rejected = yield* Effect.flip(Ordered.decode(envelope(3, { orderId: 1 })))
      assert.strictEqual(rejected._tag, "UndecodableEvent")
      assert.include(rejected.message, envelope(3, null).id)
      const thrown = yield* Effect.flip(Ordered.decode(envelope(1, null)))
      assert.strictEqual(thrown._tag, "UndecodableEvent")
      assert.instanceOf("cause" in thrown ? thrown.cause : undefined, TypeError)
      const tooOld = yield* Effect.flip(Ordered.decode(envelope(0, {})))
      assert.include(tooOld.message, "no upcaster from version 0 to 1")
    }))

  it.effect.prop(
    "gives back what was made",
    {
      orderId: Schema.NonEmptyString.check(Schema.isPattern(/^[a-zäöü0-9 ]+$/)),
      items: Schema.Array(Schema.Struct({ name: Schema.Literals(["tea", "\"", "\\", "😀"]), price: Schema.Finite }))
    },
    Effect.fnUntraced(function*(data) {
      const { json } = yield* Ordered.make(data)
      const read = yield* Ordered.decode(envelope(3, JSON.parse(json)))
      // JSON has one zero.
      assert.deepStrictEqual(read.data, {
        ...data,
        items: data.items.map((item) => ({ ...item, price: item.price + 0 }))
      })
    })
  )
})
