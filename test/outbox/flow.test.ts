/** Flow control: pauses, rates, concurrency, the size of a batch. None of it holds up what it does not concern. */
import { assert, describe, it as plain, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { FlowControl, Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import { DeliveryLimits, problemOf } from "@zakops/outbox/DeliveryLimits"
import type { Limits } from "@zakops/outbox/DeliveryLimits"
import * as Arr from "effect/Array"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emptyTables, entries, eventually, loggedIds, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const OnVirtualTime = TestDatabase.layer.pipe(Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)))

/** Emits `count` events of a type in one transaction, and gives their ids. */
const emitOfType = Effect.fnUntraced(function*(type: string, count: number, orderingKey: string | null = null) {
  const { transact } = yield* TransactionalPublisher
  const outbox = yield* Outbox
  const event = yield* EventDefinition.make(type, { payload: Schema.Struct({ text: Schema.String }) }).make({
    text: type
  })
  const correlationId = randomUUID()
  return yield* transact(outbox.emitAll(Arr.makeBy(count, () => ({ event, correlationId, orderingKey }))))
})

const withLimits = (limits: Limits) =>
  FlowControl.layer.pipe(
    Layer.provideMerge(services({ batchSize: 20 })),
    Layer.provideMerge(FakePublisher.layer),
    Layer.provideMerge(Layer.succeed(DeliveryLimits, limits)),
    Layer.provideMerge(OnVirtualTime)
  )

const start = Effect.gen(function*() {
  yield* emptyTables
  const fake = yield* FakePublisher
  fake.calls.length = 0
  fake.respond = () => Effect.void
  return { fake, ...(yield* OutboxProcessor), ...(yield* FlowControl) }
})

const callsOf = (fake: FakePublisher["Service"], type: string) =>
  fake.calls.filter(({ eventType }) => eventType === type).length

layer(withLimits({}))("a pause", (it) => {
  it.effect("of a type keeps its events, and no others, until it is resumed; both are audited", () =>
    Effect.gen(function*() {
      const { drain, fake, pause, paused, resume } = yield* start
      const sql = yield* SqlClient
      yield* emitOfType("slow", 50)
      assert.isTrue(yield* pause({ type: "slow" }, { by: "ann" }))
      assert.isFalse(yield* pause({ type: "slow" }, { by: "bob" }))
      yield* emitOfType("quick", 30)
      yield* emitOfType("slow", 10, "k")
      yield* emitOfType("quick", 1, "k")
      assert.deepInclude(yield* drain, { delivered: 30 })
      assert.strictEqual(callsOf(fake, "slow"), 0)
      const [pauseNow] = yield* paused
      assert.deepInclude(pauseNow, { kind: "type", name: "slow", pausedBy: "ann" })

      const refused = [
        pause({ type: "slow" }, { by: " " }),
        resume({ type: "slow" }, { by: "" }),
        pause({ type: "a\u0000" }, { by: "bob" })
      ]
      assert.deepStrictEqual(
        (yield* Effect.forEach(refused, Effect.flip)).map((error) =>
          error._tag === "InvalidRequest" ? error.field : error._tag
        ),
        ["by", "by", "type"]
      )
      assert.isTrue(yield* resume({ type: "slow" }, { by: "bob" }))
      assert.isFalse(yield* resume({ type: "slow" }, { by: "bob" }))
      assert.deepInclude(yield* drain, { delivered: 61 })
      assert.deepStrictEqual(yield* paused, [])
      assert.deepStrictEqual(
        [...(yield* sql`SELECT by, action, filter, count::int AS count FROM zakops.audit ORDER BY id`)],
        [
          { by: "ann", action: "pause", filter: { type: "slow" }, count: 1 },
          { by: "bob", action: "resume", filter: { type: "slow" }, count: 1 }
        ]
      )
    }))

  it.effect("of a type lets the others through at once, however many of its events stand in front of them", () =>
    Effect.gen(function*() {
      const { fake, pause, runOnce } = yield* start
      yield* emitOfType("slow", 4000)
      yield* emitOfType("quick", 1)
      yield* pause({ type: "slow" }, { by: "ann" })
      // Batches are of 20, and 2,000 are set aside at once where nothing else is met.
      for (let round = 0; round < 5 && callsOf(fake, "quick") === 0; round++) yield* runOnce
      assert.strictEqual(callsOf(fake, "quick"), 1)
    }))

  it.effect("of the destination keeps everything", () =>
    Effect.gen(function*() {
      const { drain, pause, resume } = yield* start
      yield* emitOfType("any", 3)
      yield* emitOfType("any", 3, "k")
      yield* pause({ destination: "the test's destination" }, { by: "ann" })
      assert.deepInclude(yield* drain, { delivered: 0 })
      yield* resume({ destination: "the test's destination" }, { by: "ann" })
      assert.deepInclude(yield* drain, { delivered: 6 })
    }))

  it.effect("does not stop a deadline", () =>
    Effect.gen(function*() {
      const { drain, pause } = yield* start
      yield* pause({ type: "slow" }, { by: "ann" })
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      const event = yield* EventDefinition.make("slow", { payload: Schema.Unknown }).make({})
      yield* transact(outbox.emit(event, { correlationId: randomUUID(), expiresAt: new Date(60_000) }))
      assert.deepInclude(yield* drain, { dead: 0, delivered: 0 })
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* drain, { dead: 1 })
    }))
})

layer(withLimits({ types: { slow: { rate: { limit: 5, per: "1 second" } } } }))("a rate of a type", (it) => {
  it.effect("lets a period's worth go at once and then one after another, and the other types as they come", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* start
      yield* emitOfType("slow", 100)
      yield* emitOfType("quick", 40)
      yield* drain
      assert.strictEqual(callsOf(fake, "slow"), 5)
      assert.strictEqual(callsOf(fake, "quick"), 40)
      yield* TestClock.adjust("199 millis")
      yield* drain
      assert.strictEqual(callsOf(fake, "slow"), 5)
      yield* TestClock.adjust("1 millis")
      yield* drain
      assert.strictEqual(callsOf(fake, "slow"), 6)
      yield* TestClock.adjust("1 hour")
      yield* drain
      assert.strictEqual(callsOf(fake, "slow"), 11, "what was not used in a quiet period is not saved up")
    }))

  it.effect("holds for all processors together", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* start
      yield* emitOfType("slow", 100)
      yield* runOnce
      for (let round = 0; round < 3; round++) {
        yield* Effect.all(Arr.replicate(runOnce, 4), { concurrency: "unbounded" })
      }
      assert.strictEqual(callsOf(fake, "slow"), 5)
    }))
})

layer(withLimits({ destination: { rate: { limit: 10, per: "1 minute" } } }))("a rate of the destination", (it) => {
  it.effect("holds for all types together, and what is not used is given back", () =>
    Effect.gen(function*() {
      const { drain, fake, runOnce } = yield* start
      yield* emitOfType("one", 4)
      yield* drain
      assert.lengthOf(fake.calls, 4)
      yield* runOnce
      yield* emitOfType("two", 4)
      yield* emitOfType("three", 4, "k")
      yield* drain
      assert.lengthOf(fake.calls, 10)
      yield* TestClock.adjust("12 seconds")
      yield* drain
      assert.lengthOf(fake.calls, 12)
    }))
})

const RealTime = (limits: Limits) =>
  services({ batchSize: 10, pollInterval: Duration.millis(100) }).pipe(
    Layer.provideMerge(FakePublisher.layer),
    Layer.provideMerge(Layer.succeed(DeliveryLimits, limits)),
    Layer.provideMerge(TestDatabase.layer)
  )

layer(RealTime({ types: { slow: { concurrency: 2 } } }), { excludeTestServices: true })(
  "a type's concurrency",
  (it) => {
    it.effect("bounds its calls at the same time, and leaves the others their room however long its backlog", () =>
      Effect.gen(function*() {
        yield* emptyTables
        const fake = yield* FakePublisher
        const gate = yield* Deferred.make<void>()
        let [open, most] = [0, 0]
        fake.respond = ({ eventType }) =>
          eventType === "quick" ? Effect.void : Effect.gen(function*() {
            most = Math.max(most, ++open)
            yield* Deferred.await(gate)
            open--
          })
        yield* emitOfType("slow", 300)
        yield* emitOfType("quick", 100)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
          yield* eventually(Effect.sync(() => callsOf(fake, "quick") === 100))
          yield* eventually(Effect.sync(() => open === 2))
          yield* Deferred.succeed(gate, void 0)
          yield* eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status === "delivered")))
        }))
        assert.strictEqual(most, 2)
      }))
  }
)

layer(
  services({ batchSize: 100, batchBytes: 10_000 }).pipe(
    Layer.provideMerge(FakePublisher.layer),
    Layer.provideMerge(OnVirtualTime)
  )
)("a batch", (it) => {
  it.effect("is bounded in bytes, counted as JSON, though it holds one entry at least", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { drain, runOnce } = yield* OutboxProcessor
      const put = (size: number, count: number) =>
        sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data)
          SELECT gen_random_uuid(), gen_random_uuid(), 'large', to_jsonb(repeat('x', ${size}::int)) FROM generate_series(1, ${count}::int)`
      yield* put(1000, 5)
      yield* put(50_000, 2)
      yield* put(4000, 5)
      const sizes = []
      for (let round = 0; round < 5; round++) sizes.push((yield* runOnce).delivered)
      assert.deepStrictEqual(sizes, [6, 1, 3, 2, 0])
      assert.deepInclude(yield* drain, { delivered: 0 })
    }))
})

layer(
  FlowControl.layer.pipe(
    Layer.provideMerge(services({ batchSize: 20 })),
    Layer.provideMerge(EventLog.layerPublisher),
    Layer.provideMerge(Layer.succeed(DeliveryLimits, { types: { slow: { rate: { limit: 5, per: "1 second" } } } })),
    Layer.provideMerge(OnVirtualTime)
  )
)("the log", (it) => {
  it.effect("keeps to rates and pauses as well", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { drain } = yield* OutboxProcessor
      const { pause } = yield* FlowControl
      yield* emitOfType("slow", 20, "k")
      yield* emitOfType("slow", 20)
      yield* emitOfType("quick", 50)
      yield* emitOfType("paused", 50)
      yield* pause({ type: "paused" }, { by: "ann" })
      yield* drain
      assert.lengthOf(yield* loggedIds, 55)
      yield* TestClock.adjust("1 second")
      yield* drain
      assert.lengthOf(yield* loggedIds, 60)
    }))
})

describe("DeliveryLimits", () => {
  plain("that make no sense are named", () => {
    assert.isUndefined(
      problemOf({ destination: { rate: { limit: 1, per: "1 minute" } }, types: { a: { concurrency: 1 } } })
    )
    assert.include(problemOf({ destination: { rate: { limit: 0, per: "1 minute" } } }), "destination is 0")
    assert.include(problemOf({ types: { a: { rate: { limit: 1, per: 0 } } } }), "type a")
    assert.include(problemOf({ types: { a: { concurrency: 1.5 } } }), "a is 1.5")
  })
})
