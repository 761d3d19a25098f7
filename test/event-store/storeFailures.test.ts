/** The event store where something goes wrong: its scope closed, transactions that Postgres rolls back, handlers that overlook errors. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import * as Decider from "@zakops/event-store/Decider"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore, layerWith } from "@zakops/event-store/EventStore"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Added, Counter, counterWithSnapshots, Taken } from "../support/counter.ts"
import { eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const around = Layer.provideMerge(
  Layer.provideMerge(services(), EventLog.layerPublisher),
  TestDatabase.layer
)

const newStream = () => ({ aggregateType: "counter", aggregateId: randomUUID() })
const add = (by: number) => Effect.map(Added.make({ by }), (event) => [event])

/** As where the database's own setting is so: what is not begun with BEGIN is at that level too. */
const repeatableRead = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(Layer.unwrap(
    Effect.map(TestDatabase.DatabaseUrl, (url) =>
      PgClient.layer({
        url: Redacted.make(url),
        startupParameters: { default_transaction_isolation: "repeatable read" }
      }))
  ))
)

layer(Layer.provideMerge(EventStore.layer, around), { excludeTestServices: true })("the event store", (it) => {
  it.effect("answers writes that come after its scope was closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const store = Layer.buildWithScope(Layer.fresh(EventStore.layer), scope)
      const { write } = Context.get(yield* store, EventStore)
      const writeMany = (count: number) =>
        Effect.forEach(
          Array.from({ length: count }, newStream),
          (stream) => Effect.flatMap(add(1), (events) => Effect.exit(write(stream, "any", events))),
          { concurrency: "unbounded" }
        )
      // Afterwards it gathers: the next ones are not let through one by one.
      yield* writeMany(20)
      yield* Scope.close(scope, Exit.void)
      const late = yield* Effect.forkChild(writeMany(5))
      yield* eventually(Effect.sync(() => late.pollUnsafe() !== undefined))
      const answers = yield* Fiber.join(late)
      assert.isTrue(answers.every(Exit.isSuccess))
    }))

  it.effect("writes again what Postgres has rolled back, also of gathered writes", () =>
    Effect.scoped(Effect.gen(function*() {
      // Two processes, whose writes meet on one stream.
      const stores = yield* Effect.forEach(
        [1, 2],
        () => Effect.map(Layer.build(Layer.fresh(repeatableRead)), (context) => Context.get(context, EventStore))
      )
      const stream = newStream()
      const results = yield* Effect.forEach(
        Arr.range(1, 100),
        (n) =>
          Effect.flatMap(
            add(1),
            (events) => Effect.result((stores[n % 2] ?? assert.fail()).write(stream, "any", events))
          ),
        { concurrency: 4 }
      )
      assert.deepStrictEqual(results.filter(Result.isFailure).map(({ failure }) => failure._tag), [])
    })))

  it.effect("keeps the snapshots of several deciders of one aggregate apart", () =>
    Effect.gen(function*() {
      const { execute, load } = yield* EventStore
      const id = randomUUID()
      const numberOfEvents = Decider.make({
        aggregateType: "counter",
        definitions: [Added, Taken],
        initial: 0,
        decide: () => Result.succeed([]),
        evolve: (events: number) => events + 1,
        snapshot: { name: "number of events", version: 1, state: Schema.Int, every: 10 }
      })
      yield* execute(counterWithSnapshots(1), id, { add: 7, times: 12 })
      assert.deepStrictEqual(yield* load(numberOfEvents, id), { state: 12, version: 12 })
      assert.deepStrictEqual(yield* load(counterWithSnapshots(1), id), { state: 84, version: 12 })
    }))

  it.effect("refuses a decider with two definitions of one type", () =>
    Effect.sync(() => {
      const make = () =>
        Decider.make({
          aggregateType: "counter",
          definitions: [Added, Added],
          initial: 0,
          decide: () => Result.succeed([]),
          evolve: (state: number) => state
        })
      assert.throws(make, TypeError, "two definitions of counter.added")
    }))
})

/** 1: takes two rows in one order, 2: in the other; 3: overlooks that a statement fails; 4: is interrupted elsewhere. */
const inline = layerWith({
  inline: [{
    name: "inline",
    handle: (events) =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const { by } = events[0].envelope.data as { readonly by: number }
        if (by === 3) yield* Effect.ignore(sql`SELECT 1 / 0`)
        if (by === 4) return yield* Effect.interrupt
        if (by > 2) return
        const [first, second] = by === 1 ? ["x", "y"] : ["y", "x"]
        yield* sql`UPDATE shared SET n = n + 1 WHERE id = ${first}`
        yield* sql`SELECT pg_sleep(0.05)`
        yield* sql`UPDATE shared SET n = n + 1 WHERE id = ${second}`
      })
  }]
})

layer(Layer.provideMerge(inline, around), { excludeTestServices: true })("an inline projection", (it) => {
  it.effect("that meets another one in a deadlock is run again with its append", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, transact } = yield* EventStore
      yield* sql`CREATE TABLE shared (id text PRIMARY KEY, n int)`
      yield* sql`INSERT INTO shared VALUES ('x', 0), ('y', 0)`
      yield* Effect.forEach([1, 2], (n) => execute(Counter, randomUUID(), { add: n }), {
        concurrency: 2,
        discard: true
      })
      yield* Effect.forEach([1, 2], (n) => transact(execute(Counter, randomUUID(), { add: n })), {
        concurrency: 2,
        discard: true
      })
      assert.deepStrictEqual(yield* sql`SELECT id, n FROM shared ORDER BY id`, [{ id: "x", n: 4 }, { id: "y", n: 4 }])
    }))

  it.effect.each([3, 4])(
    "that overlooks an error (3), or is interrupted elsewhere (4), fails the append by name: %d",
    (by) =>
      Effect.gen(function*() {
        const { append, transact, write } = yield* EventStore
        const stream = newStream()
        const alone = yield* Effect.flip(write(stream, "any", yield* add(by)))
        assert.strictEqual(alone._tag, "InlineProjectionFailed")
        yield* transact(Effect.gen(function*() {
          const error = yield* Effect.flip(append(stream, "any", yield* add(by)))
          assert.strictEqual(error._tag, "InlineProjectionFailed")
          yield* append(stream, "noStream", yield* add(5))
        }))
      })
  )
})
