/** OUTBOX_ENABLED=false and OUTBOX_PROCESSOR_ENABLED=false: the same calls, another way. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { Transient } from "@zakops/events/EventPublisher"
import { emitActionEvent, emitDealEvent, Outbox, OutboxConfig, TransactionalPublisher } from "@zakops/outbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, entries, eventually, loggedIds, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const ActionMade = EventDefinition.make("action.made", {
  aggregateType: "action",
  payload: Schema.Struct({ n: Schema.Int })
})

const DirectToLog = services({ enabled: false }).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(DirectToLog)("without the outbox, an event", (it) => {
  it.effect("goes into the log with the transaction, or not at all", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { transact } = yield* TransactionalPublisher
      const ids = yield* emitDeals(3, { headers: { a: "b" } })
      yield* Effect.ignore(transact(Effect.andThen(emitDeals(2), Effect.fail("no"))))
      assert.deepStrictEqual(yield* loggedIds, ids)
      assert.deepStrictEqual(yield* entries, [])
      const [row] =
        yield* sql`SELECT event_type, aggregate_type, headers, created_at IS NOT NULL AS dated FROM zakops.agent_events`
      assert.deepStrictEqual(row, { event_type: "deal.made", aggregate_type: "deal", headers: { a: "b" }, dated: true })
    }))

  it.effect("is refused for the same reasons", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(emitDeals(1, { id: "1" }))
      assert.deepInclude(error, { _tag: "InvalidEvent", field: "id" })
    }))
})

const DirectElsewhere = services({ enabled: false }).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer)
)

layer(DirectElsewhere)("without the outbox, an event for an external destination", (it) => {
  it.effect("is published while the caller waits, and what the destination says comes back", () =>
    Effect.gen(function*() {
      const fake = yield* FakePublisher
      const [id = ""] = yield* emitDeals(1)
      assert.deepInclude(fake.calls[0], { id, eventType: "deal.made", aggregateType: "deal" })
      fake.respond = () => Effect.fail(new Transient({ reason: "busy" }))
      assert.deepInclude(yield* Effect.flip(emitDeals(1)), { _tag: "Transient", reason: "busy" })
      assert.deepStrictEqual(yield* entries, [])
    }))
})

for (const enabled of [true, false]) {
  const Live = services({ enabled }).pipe(
    Layer.provideMerge(EventLog.layerPublisher),
    Layer.provideMerge(TestDatabase.layer)
  )
  layer(Live)(`emitDealEvent and emitActionEvent, OUTBOX_ENABLED=${enabled}`, (it) => {
    it.effect("give the effect's result as it is, and emit only when it succeeds", () =>
      Effect.gen(function*() {
        const dealId = randomUUID()
        const result = { dealId, title: "t", other: Symbol.for("kept") }
        const emitDeal = emitDealEvent((deal: typeof result) => ({
          event: DealMade.make(deal),
          correlationId: deal.dealId
        }))
        const emitAction = emitActionEvent((n: number) => ({ event: ActionMade.make({ n }), correlationId: dealId }))
        assert.strictEqual(yield* emitDeal(Effect.succeed(result)), result)
        assert.strictEqual(yield* emitAction(Effect.succeed(42)), 42)
        assert.strictEqual(yield* Effect.flip(emitAction(Effect.fail("as it is"))), "as it is")
        assert.lengthOf(yield* entries, enabled ? 2 : 0)
        assert.lengthOf(yield* loggedIds, enabled ? 0 : 2)
      }))

    it.effect("roll the effect back whose event is refused", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* sql`CREATE TABLE business (name text)`
        const change = Effect.as(sql`INSERT INTO business VALUES ('a')`, 1)
        const emitting = emitActionEvent((n: number) => ({ event: ActionMade.make({ n }), correlationId: "no UUID" }))
        assert.strictEqual((yield* Effect.flip(emitting(change)))._tag, "InvalidEvent")
        assert.deepStrictEqual(yield* sql`SELECT * FROM business`, [])
      }))
  })
}

const WritesOnly = OutboxLive.layer.pipe(
  Layer.provideMerge(OutboxConfig.layerWith({ processorEnabled: false })),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(WritesOnly, { excludeTestServices: true })("OUTBOX_PROCESSOR_ENABLED=false", (it) => {
  it.effect("writes, and leaves the delivering to others", () =>
    Effect.gen(function*() {
      yield* emitDeals(2)
      yield* moment(200)
      assert.isTrue((yield* entries).every(({ status }) => status === "pending"))
    }))
})

layer(
  services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer)),
  { excludeTestServices: true }
)("an outbox that is switched off", (it) => {
  it.effect("delivers what was emitted while it was on", () =>
    Effect.scoped(Effect.gen(function*() {
      const ids = yield* emitDeals(3)
      yield* Layer.build(
        Layer.fresh(OutboxLive.layer).pipe(
          Layer.provide(OutboxConfig.layerWith({ enabled: false })),
          Layer.provide(EventLog.layerPublisher)
        )
      )
      yield* eventually(Effect.map(loggedIds, (logged) => logged.length === 3))
      assert.deepStrictEqual(yield* loggedIds, ids)
    })))
})

layer(TestDatabase.layerEmpty)("OutboxLive", (it) => {
  it.effect("does not start on a database that is not migrated, unless it is switched off", () =>
    Effect.gen(function*() {
      const start = (enabled: boolean) =>
        Effect.scoped(Layer.build(OutboxLive.layer.pipe(
          Layer.provide(OutboxConfig.layerWith({ enabled })),
          Layer.provide(EventLog.layerPublisher)
        )))
      assert.strictEqual((yield* Effect.flip(start(true)))._tag, "NotMigrated")
      yield* start(false)
    }))

  it.effect("provides what a program needs to emit", () =>
    Effect.gen(function*() {
      const program = Effect.all([Outbox, TransactionalPublisher])
      yield* Effect.provide(
        program,
        OutboxLive.layer.pipe(
          Layer.provide(OutboxConfig.layerWith({ enabled: false })),
          Layer.provide(EventLog.layerPublisher)
        )
      )
    }))
})
