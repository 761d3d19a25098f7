/** What the deal desk asks of delivery: order for each deal, a reminder in time, a double click that counts once. */
import { assert, layer } from "@effect/vitest"
import { Deals } from "@zakops/deal-desk/Deals"
import { makeTables } from "@zakops/deal-desk/tables"
import { EventStore } from "@zakops/event-store/EventStore"
import { Transient } from "@zakops/events/EventPublisher"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { OutboxProcessor } from "@zakops/outbox"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emptyTables, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.effectDiscard(makeTables).pipe(
  Layer.provideMerge(Deals.layer),
  Layer.provideMerge(EventStore.layer),
  Layer.provideMerge(services()),
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

layer(Live)("the deal desk", (it) => {
  const start = Effect.gen(function*() {
    yield* emptyTables
    const fake = yield* FakePublisher
    fake.calls.length = 0
    fake.respond = () => Effect.void
    return { fake, deals: yield* Deals, ...(yield* OutboxProcessor) }
  })

  it.effect("has a deal's events delivered in their order, and those of other deals meanwhile", () =>
    Effect.gen(function*() {
      const { deals, drain, fake } = yield* start
      const [one, other] = [randomUUID(), randomUUID()]
      yield* deals.create({ dealId: one, title: "one", amount: 1 })
      yield* deals.addAction(one, { title: "call them" })
      yield* deals.moveStage(one, "won")
      yield* deals.create({ dealId: other, title: "other", amount: 1 })
      fake.respond = ({ correlationId, eventType }) =>
        correlationId === one && eventType === "action.added"
          ? Effect.fail(new Transient({ reason: "not now" }))
          : Effect.void
      yield* drain
      assert.deepStrictEqual(
        fake.calls.map(({ correlationId, eventType }) => [correlationId === one, eventType]).toSorted(),
        [
          [false, "deal.created"],
          [true, "action.added"],
          [true, "deal.created"]
        ]
      )
      fake.respond = () => Effect.void
      yield* TestClock.adjust("5 seconds")
      yield* drain
      assert.deepStrictEqual(fake.calls.slice(-2).map(({ eventType }) => eventType), [
        "action.added",
        "deal.stage_moved"
      ])
    }))

  it.effect("reminds of an offer after three days, which keeps nothing else of the deal waiting", () =>
    Effect.gen(function*() {
      const { deals, drain, fake } = yield* start
      const dealId = randomUUID()
      yield* deals.create({ dealId, title: "one", amount: 1 })
      yield* deals.moveStage(dealId, "offered")
      yield* deals.moveStage(dealId, "won")
      assert.deepInclude(yield* drain, { delivered: 3 })
      yield* TestClock.adjust("71 hours")
      assert.deepInclude(yield* drain, { delivered: 0 })
      yield* TestClock.adjust("1 hour")
      assert.deepInclude(yield* drain, { delivered: 1 })
      assert.strictEqual(fake.calls.at(-1)?.eventType, "deal.follow_up_due")
    }))

  it.effect("takes an action that is clicked several times at once, answers each click the same, and tells of it once", () =>
    Effect.gen(function*() {
      const { deals, drain, fake } = yield* start
      const [dealId, actionId] = [randomUUID(), randomUUID()]
      yield* deals.create({ dealId, title: "one", amount: 1 })
      const answers = yield* Effect.all(
        Arr.replicate(deals.addAction(dealId, { actionId, title: "call them" }), 5),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1)
      assert.deepInclude(yield* drain, { delivered: 2 })
      assert.lengthOf(fake.calls.filter(({ eventType }) => eventType === "action.added"), 1)
    }))
})
