/** A deduplication key lets the first event of its type through, and gives its id to all others until the window is over. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import type { EmitOptions } from "@zakops/outbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { emptyTables, entries, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services().pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)),
  Layer.provideMerge(TestDatabase.layer)
)

const Other = EventDefinition.make("other", { payload: Schema.Int })

layer(Live)("a deduplication key", (it) => {
  const setUp = Effect.gen(function*() {
    yield* emptyTables
    const outbox = yield* Outbox
    const { transact } = yield* TransactionalPublisher
    const event = yield* DealMade.make({ dealId: "d", title: "t" })
    const other = yield* Other.make(1)
    const correlationId = randomUUID()
    const emit = (dedupeKey: string, options: Partial<EmitOptions> = {}) =>
      outbox.emit(event, { correlationId, dedupeKey, ...options })
    return { correlationId, emit, event, other, outbox, transact, sql: yield* SqlClient }
  })
  const ids = Effect.map(entries, (rows) => rows.map(({ id }) => id))

  it.effect("gives the first event's id to those after it, and writes nothing", () =>
    Effect.gen(function*() {
      const { emit, transact } = yield* setUp
      const first = yield* transact(emit("k"))
      assert.strictEqual(yield* transact(emit("k")), first)
      assert.strictEqual(yield* transact(emit("k", { id: randomUUID() })), first)
      const [a, b] = yield* transact(Effect.all([emit("l"), emit("l")]))
      assert.strictEqual(a, b)
      assert.deepStrictEqual(yield* ids, [first, a])
    }))

  it.effect("stands for its window, by the database's clock, and for one day unless given", () =>
    Effect.gen(function*() {
      const { emit, transact } = yield* setUp
      const [hour, day] = yield* transact(Effect.all([emit("hour", { dedupeWindow: "1 hour" }), emit("day")]))
      yield* TestClock.adjust("3599 seconds")
      assert.strictEqual(yield* transact(emit("hour", { dedupeWindow: "1 hour" })), hour)
      yield* TestClock.adjust("1 second")
      const later = yield* transact(emit("hour", { dedupeWindow: "1 hour" }))
      assert.notStrictEqual(later, hour)
      // The window begins anew with the event that was written.
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* transact(emit("hour")), later)
      yield* TestClock.adjust("22 hours")
      assert.strictEqual(yield* transact(emit("day")), day)
      yield* TestClock.adjust("1 minute")
      assert.notStrictEqual(yield* transact(emit("day")), day)
      assert.lengthOf(yield* ids, 4)
    }))

  it.effect("makes a second transaction wait: it gets the first one's id, or writes itself where that was rolled back", () =>
    Effect.gen(function*() {
      const { emit, sql, transact } = yield* setUp
      for (const end of ["commit", "roll back"] as const) {
        yield* emptyTables
        const mayEnd = yield* Deferred.make<void>()
        const emitted = yield* Deferred.make<string>()
        const first = yield* Effect.forkChild(transact(Effect.gen(function*() {
          yield* Deferred.succeed(emitted, yield* emit("k"))
          yield* Deferred.await(mayEnd)
          return end === "roll back" ? yield* Effect.fail("no") : undefined
        })))
        const firstId = yield* Deferred.await(emitted)
        const second = yield* Effect.forkChild(transact(emit("k")))
        yield* eventually(Effect.map(
          sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          (rows) => rows.length === 1
        ))
        yield* Deferred.succeed(mayEnd, void 0)
        assert.strictEqual(Exit.isSuccess(yield* Fiber.await(first)), end === "commit")
        const secondId = yield* Fiber.join(second)
        assert.strictEqual(secondId === firstId, end === "commit")
        assert.deepStrictEqual(yield* ids, [secondId])
      }
    }))

  it.effect("lets one through of many that race, and gives all of them its id", () =>
    Effect.gen(function*() {
      const { emit, transact } = yield* setUp
      const given = yield* Effect.forEach(
        Array.from({ length: 40 }),
        () => transact(emit("k")),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(yield* ids, [...new Set(given)])
    }))

  it.effect("is free again when its savepoint is rolled back", () =>
    Effect.gen(function*() {
      const { emit, transact } = yield* setUp
      const [lost, written, again] = yield* transact(Effect.gen(function*() {
        const lost = yield* Effect.flip(transact(Effect.flatMap(emit("k"), Effect.fail)))
        return [lost, yield* emit("k"), yield* transact(emit("k"))]
      }))
      assert.notStrictEqual(lost, written)
      assert.strictEqual(again, written)
      assert.deepStrictEqual(yield* ids, [written])
    }))

  it.effect("counts within one emitAll as well, and for its own type only", () =>
    Effect.gen(function*() {
      const { correlationId, event, other, outbox, transact } = yield* setUp
      const plain = { event, correlationId }
      const given = yield* transact(outbox.emitAll([
        { ...plain, dedupeKey: "k" },
        plain,
        { ...plain, dedupeKey: "k" },
        { ...plain, event: other, dedupeKey: "k" },
        plain,
        { ...plain, event: other, dedupeKey: "k" },
        { ...plain, dedupeKey: "l" }
      ]))
      const [first, second, again, third, fourth, thirdAgain, fifth] = given
      assert.strictEqual(again, first)
      assert.strictEqual(thirdAgain, third)
      assert.deepStrictEqual(yield* ids, [first, second, third, fourth, fifth])
    }))

  it.effect("is no less a key where the caller gives the id: in capitals, or the same one each time", () =>
    Effect.gen(function*() {
      const { correlationId, emit, event, outbox, transact } = yield* setUp
      const capitals = randomUUID().toUpperCase()
      assert.strictEqual(yield* transact(emit("k", { id: capitals })), capitals.toLowerCase())
      assert.strictEqual(yield* transact(emit("k", { id: capitals })), capitals.toLowerCase())
      const id = randomUUID()
      const same = { event, correlationId, id, dedupeKey: "l" }
      assert.deepStrictEqual(yield* transact(outbox.emitAll([same, same])), [id, id])
      assert.deepStrictEqual(yield* transact(outbox.emitAll([same, same])), [id, id])
      assert.deepStrictEqual(yield* ids, [capitals.toLowerCase(), id])
    }))

  it.effect("of many in opposite orders does not deadlock", () =>
    Effect.gen(function*() {
      const { correlationId, event, outbox, transact } = yield* setUp
      const emissions = Array.from({ length: 500 }, (_, i) => ({ event, correlationId, dedupeKey: `k ${i}` }))
      const given = yield* Effect.forEach(
        [emissions, emissions.toReversed(), emissions, emissions.toReversed()],
        (batch) => transact(outbox.emitAll(batch)),
        { concurrency: 4 }
      )
      assert.strictEqual(new Set(given.flat()).size, 500)
      assert.lengthOf(yield* ids, 500)
    }))
})
