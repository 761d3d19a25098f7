/** A processor that runs: an unreachable destination, slow entries, stopping. */
import { assert, layer } from "@effect/vitest"
import { TransportDown } from "@zakops/events/EventPublisher"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { OutboxProcessor } from "@zakops/outbox"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, entries, entry, eventually, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services({
  batchSize: 10,
  concurrency: 20,
  publishTimeout: Duration.hours(1),
  lease: Duration.seconds(30),
  drainTimeout: Duration.seconds(10)
}).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

layer(Live)("a running processor", (it) => {
  const prepare = Effect.gen(function*() {
    yield* emptyTables
    const fake = yield* FakePublisher
    fake.calls.length = 0
    fake.respond = () => Effect.void
    return fake
  })

  const all = (status: string, attempts: number) =>
    Effect.map(entries, (rows) => rows.every((row) => row.status === status && row.attempts === attempts))

  it.effect("probes a destination that is down with one entry at a time, less and less often, and goes on when it is up", () =>
    Effect.gen(function*() {
      const fake = yield* prepare
      const { start } = yield* OutboxProcessor
      fake.respond = () => Effect.fail(new TransportDown({ reason: "connection refused" }))
      yield* emitDeals(10)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* start
        // What was claimed with the first is not tried on it any more.
        yield* eventually(Effect.sync(() => fake.calls.length >= 1))
        yield* eventually(all("pending", 0))
        const atFirst = fake.calls.length
        let before = atFirst
        for (let second = 0; second < 40; second++) {
          yield* TestClock.adjust("1 second")
          yield* moment(5)
          yield* eventually(all("pending", 0))
          assert.isAtMost(fake.calls.length - before, 1, "more than one probe in a second")
          before = fake.calls.length
        }
        // After 1, 2, 4, 8 and 16 s; the poll interval may come on top of each.
        assert.isAtLeast(before - atFirst, 3)
        assert.isAtMost(before - atFirst, 6)

        fake.respond = () => Effect.void
        yield* TestClock.adjust("31 seconds")
        yield* eventually(all("delivered", 1))
      }))
    }))

  it.effect("delivers the others while one entry hangs, and keeps its lease as long as it tries", () =>
    Effect.gen(function*() {
      const fake = yield* prepare
      const { runOnce, start } = yield* OutboxProcessor
      const [slow = ""] = yield* emitDeals(1)
      const answer = yield* Deferred.make<void>()
      fake.respond = ({ id }) => id === slow ? Deferred.await(answer) : Effect.void
      yield* Effect.scoped(Effect.gen(function*() {
        yield* start
        const others = yield* emitDeals(35)
        yield* eventually(Effect.map(entries, (rows) => rows.filter((row) => row.status === "delivered").length === 35))
        assert.lengthOf(others, 35)

        for (let tenths = 0; tenths < 12; tenths++) {
          yield* TestClock.adjust("10 seconds")
          yield* moment(10)
        }
        assert.deepInclude(yield* runOnce, { retried: 0, delivered: 0 }, "another worker finds nothing to take over")
        yield* Deferred.succeed(answer, void 0)
        yield* eventually(all("delivered", 1))
      }))
      assert.lengthOf(fake.calls, 36)
    }))

  it.effect("lets what is in flight finish when it is told to stop, and claims no more", () =>
    Effect.gen(function*() {
      const fake = yield* prepare
      const { start } = yield* OutboxProcessor
      const answer = yield* Deferred.make<void>()
      fake.respond = () => Deferred.await(answer)
      const running = yield* Effect.forkChild(Effect.scoped(Effect.andThen(start, Effect.never)))
      yield* emitDeals(5)
      yield* eventually(Effect.sync(() => fake.calls.length === 5))

      const stopping = yield* Effect.forkChild(Fiber.interrupt(running))
      yield* moment(20)
      const late = yield* emitDeals(5)
      yield* moment(50)
      yield* Deferred.succeed(answer, void 0)
      yield* Fiber.join(stopping)
      const rows = yield* entries
      assert.deepStrictEqual(rows.slice(0, 5).map((row) => row.status), Array.from({ length: 5 }, () => "delivered"))
      assert.deepStrictEqual(
        rows.slice(5).map(({ attempts, id, status }) => ({ attempts, id, status })),
        late.map((id) => ({ attempts: 0, id, status: "pending" }))
      )
    }))

  it.effect("hands back uncharged what has not finished within the drain limit", () =>
    Effect.gen(function*() {
      const fake = yield* prepare
      const { start } = yield* OutboxProcessor
      const [done = "", stuck = ""] = yield* emitDeals(2)
      fake.respond = ({ id }) => id === stuck ? Effect.never : Effect.void
      const running = yield* Effect.forkChild(Effect.scoped(Effect.andThen(start, Effect.never)))
      yield* eventually(Effect.map(entry(done), ({ status }) => status === "delivered"))
      assert.deepInclude(yield* entry(stuck), { status: "processing", attempts: 1 })

      const stopping = yield* Effect.forkChild(Fiber.interrupt(running))
      yield* moment(20)
      yield* TestClock.adjust("9 seconds")
      assert.deepInclude(yield* entry(stuck), { status: "processing", attempts: 1 })
      // On a busy machine the limit may have begun to run only now. Between the seconds there is time for the database.
      const stopped = Effect.sync(() => stopping.pollUnsafe() !== undefined)
      const inASecond = Effect.map(Effect.exit(eventually(stopped, 1)), Exit.isSuccess)
      yield* eventually(Effect.andThen(TestClock.adjust("1 second"), inASecond))
      yield* Fiber.join(stopping)
      assert.deepInclude(yield* entry(stuck), { status: "pending", attempts: 0, claim_id: null })
    }))
})
