/** What `emit` and the event's definition say about delivery, as it stands in the row. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import type { DeliveryOptions } from "@zakops/events/DeliverySettings"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import type { Emission, EmitOptions } from "@zakops/outbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { DealMade } from "../support/events.ts"
import { emptyTables, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services().pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)),
  Layer.provideMerge(TestDatabase.layer)
)

const correlationId = "0190a8f2-0000-7000-8000-00000000000a"

interface Order {
  readonly id: string
  readonly customer: string
}

const ordered = (delivery: DeliveryOptions<Order>) =>
  EventDefinition.make("order.placed", {
    aggregateType: "order",
    aggregateId: (order) => order.id,
    payload: Schema.Struct({ id: Schema.String, customer: Schema.String }),
    delivery
  })

layer(Live)("the options of emit", (it) => {
  /** The rows of the emissions, written one by one and then all at once. */
  const rowsOf = Effect.fnUntraced(function*(emissions: ReadonlyArray<Emission>) {
    yield* emptyTables
    const sql = yield* SqlClient
    const outbox = yield* Outbox
    const { transact } = yield* TransactionalPublisher
    yield* transact(Effect.forEach(emissions, ({ event, ...options }) => outbox.emit(event, options)))
    yield* transact(outbox.emitAll(emissions))
    const rows = yield* sql<{
      ordering_key: string | null
      on_dead: string
      due: number
      expires: number | null
      max_attempts: number
      retry_waits: ReadonlyArray<number> | null
      shadow: boolean
    }>`SELECT ordering_key, on_dead, (extract(epoch FROM next_attempt_at) * 1000)::float8 AS due,
      (extract(epoch FROM expires_at) * 1000)::float8 AS expires, max_attempts, retry_waits, shadow FROM zakops.outbox ORDER BY seq`
    assert.deepStrictEqual(rows.slice(emissions.length), rows.slice(0, emissions.length))
    return rows.slice(0, emissions.length)
  })
  const rowOf = (emission: Emission) => Effect.map(rowsOf([emission]), (rows) => rows[0] ?? assert.fail())
  const order = { id: "7", customer: "c" }

  it.effect("put the event into the order that its definition says, unless emit says another, or none", () =>
    Effect.gen(function*() {
      const keyOf = (delivery: DeliveryOptions<Order>, options: Partial<EmitOptions> = {}) =>
        Effect.gen(function*() {
          const event = yield* ordered(delivery).make(order)
          const correlation = correlationId.toUpperCase()
          return (yield* rowOf({ event, correlationId: correlation, ...options })).ordering_key
        })
      assert.isNull(yield* keyOf({}))
      assert.strictEqual(yield* keyOf({ orderBy: "aggregate" }), "order/7")
      assert.strictEqual(yield* keyOf({ orderBy: "correlation" }), correlationId)
      assert.strictEqual(yield* keyOf({ orderBy: ({ customer }) => `customer ${customer}` }), "customer c")
      assert.strictEqual(yield* keyOf({ orderBy: "aggregate" }, { orderingKey: "mine" }), "mine")
      assert.isNull(yield* keyOf({ orderBy: "aggregate" }, { orderingKey: null }))
      assert.strictEqual(yield* keyOf({}, { orderingKey: "k".repeat(200) }), "k".repeat(200))
    }))

  it.effect("carry along what a dead entry does to its key, how often is tried, and how long is waited", () =>
    Effect.gen(function*() {
      const retry = Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 2 }))
      const events = yield* Effect.forEach(
        [
          {},
          { orderBy: "aggregate", onDead: "skip", maxAttempts: 9 },
          { onDead: "skip" },
          { retry },
          { retry, maxAttempts: 2 },
          { retry: Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 4 })), maxAttempts: 9 },
          { retry: Schedule.recurs(0) }
        ] satisfies ReadonlyArray<DeliveryOptions<Order>>,
        (delivery) => ordered(delivery).make(order)
      )
      const rows = yield* rowsOf(events.map((event) => ({ event, correlationId })))
      assert.deepStrictEqual(
        rows.map(({ max_attempts, on_dead, retry_waits }) => ({ max_attempts, on_dead, retry_waits })),
        [
          { max_attempts: 5, on_dead: "block", retry_waits: null },
          { max_attempts: 9, on_dead: "skip", retry_waits: null },
          { max_attempts: 5, on_dead: "skip", retry_waits: null },
          // Two waits are three attempts.
          { max_attempts: 3, on_dead: "block", retry_waits: [2000] },
          { max_attempts: 2, on_dead: "block", retry_waits: [2000] },
          { max_attempts: 5, on_dead: "block", retry_waits: [1000, 2000, 4000, 8000] },
          { max_attempts: 1, on_dead: "block", retry_waits: [] }
        ]
      )
      const [, many] = events
      const given = yield* rowOf({ event: many ?? assert.fail(), correlationId, maxAttempts: 3 })
      assert.strictEqual(given.max_attempts, 3)
    }))

  it.effect("say when the event is due, and until when it is worth delivering, by the database's clock", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      const hour = Duration.toMillis(Duration.hours(1))
      const event = yield* DealMade.make({ dealId: "d", title: "t" })
      const rows = yield* rowsOf([
        { event, correlationId },
        { event, correlationId, delay: "10 minutes" },
        { event, correlationId, deliverAt: new Date(5_000) },
        { event, correlationId, deliverAt: new Date(2 * hour), expiresAt: new Date(3 * hour) },
        { event, correlationId, delay: 0, expiresAt: new Date(1) }
      ])
      assert.deepStrictEqual(rows.map(({ due, expires }) => [due, expires]), [
        [hour, null],
        [hour + 600_000, null],
        [5_000, null],
        [2 * hour, 3 * hour],
        [hour, 1]
      ])
    }))

  it.effect("are refused by the name of the one that is wrong, and leave the transaction as it was", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const outbox = yield* Outbox
      const { transact } = yield* TransactionalPublisher
      const event = yield* ordered({}).make(order)
      const byAggregate = EventDefinition.make("a", { payload: Schema.Int, delivery: { orderBy: "aggregate" } })
      const byData = ordered({ orderBy: ({ customer }) => customer })
      const without = yield* byAggregate.make(1)
      const wrong: ReadonlyArray<readonly [field: string, emission: Partial<Emission>]> = [
        ["orderingKey", { orderingKey: "" }],
        ["orderingKey", { orderingKey: "k".repeat(201) }],
        ["orderingKey", { orderingKey: "a\u0000" }],
        ["orderingKey", { orderingKey: "\ud800" }],
        ["orderingKey", { event: yield* byData.make({ id: "1", customer: "" }) }],
        ["aggregateId", { event: without }],
        ["deliverAt", { deliverAt: new Date(NaN) }],
        ["deliverAt", { deliverAt: new Date(Date.UTC(10_000, 0)) }],
        ["expiresAt", { expiresAt: new Date(NaN) }],
        ["expiresAt", { expiresAt: new Date(5), deliverAt: new Date(5) }],
        ["delay", { delay: "1 second", deliverAt: new Date(0) }],
        ["delay", { delay: -1 }],
        ["delay", { delay: NaN }],
        ["delay", { delay: -1n }],
        ["delay", { delay: [-1, 0] }],
        ["delay", { delay: { seconds: -1 } }],
        ["delay", { delay: "-1 seconds" }],
        ["delay", { delay: Duration.infinity }],
        ["delay", { delay: "36501 days" }],
        ["dedupeKey", { dedupeKey: "" }],
        ["dedupeKey", { dedupeKey: "k".repeat(201) }],
        ["dedupeKey", { dedupeKey: "a\u0000" }],
        ["dedupeWindow", { dedupeWindow: "1 day" }],
        ["dedupeWindow", { dedupeKey: "k", dedupeWindow: 0 }],
        ["dedupeWindow", { dedupeKey: "k", dedupeWindow: -5 }],
        ["dedupeWindow", { dedupeKey: "k", dedupeWindow: Infinity }],
        ["maxAttempts", { maxAttempts: 0 }]
      ]
      const good = { event, correlationId }
      yield* transact(Effect.gen(function*() {
        yield* sql`CREATE TEMP TABLE changes (name text)`
        for (const [field, emission] of wrong) {
          const error = yield* Effect.flip(outbox.emitAll([good, { ...good, ...emission }]))
          assert.deepInclude(error, { _tag: "InvalidEvent", field })
          yield* sql`INSERT INTO changes VALUES (${field})`
        }
        yield* outbox.emitAll([good])
        assert.lengthOf(yield* sql`SELECT 1 FROM changes`, wrong.length)
      }))
      assert.lengthOf(yield* sql`SELECT 1 FROM zakops.outbox`, 1)
    }))

  it.effect("take what lies at the limits", () =>
    Effect.gen(function*() {
      const event = yield* ordered({}).make(order)
      const years = [new Date("0001-01-01T00:00:00Z"), new Date("9999-12-31T23:59:59.999Z")]
      const rows = yield* rowsOf([
        ...years.map((deliverAt) => ({ event, correlationId, deliverAt })),
        { event, correlationId, delay: "36500 days" }
      ])
      assert.deepStrictEqual(rows.slice(0, 2).map(({ due }) => due), years.map((year) => year.getTime()))
    }))
})
