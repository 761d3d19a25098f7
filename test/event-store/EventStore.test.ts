/** The event store on Postgres: the contract, and its place between log and outbox. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore, layerWith } from "@zakops/event-store/EventStore"
import type { ExpectedVersion } from "@zakops/event-store/StreamId"
import { Outbox, OutboxProcessor } from "@zakops/outbox"
import type { OutboxSettings } from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { Added, Counter, counterWithSnapshots } from "../support/counter.ts"
import { eventStoreContract } from "../support/eventStoreContract.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const store = (settings: Partial<OutboxSettings> = {}) => EventStore.layer.pipe(Layer.provideMerge(services(settings)))
const OnLog = store().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer))

eventStoreContract("the event store on Postgres", OnLog)

eventStoreContract(
  "the event store with the outbox switched off",
  store({ enabled: false }).pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer))
)

eventStoreContract(
  "the event store with an inline projection",
  Layer.unwrap(
    Effect.map(SqlClient, (sql) =>
      layerWith({
        inline: [{
          name: "count",
          handle: (events) => sql`SELECT ${events.length}::int`
        }]
      }))
  ).pipe(
    Layer.provideMerge(services()),
    Layer.provideMerge(EventLog.layerPublisher),
    Layer.provideMerge(TestDatabase.layer)
  )
)

const add = (by: number) => Effect.map(Added.make({ by }), (event) => [event])

layer(OnLog, { excludeTestServices: true })("streams, log and outbox", (it) => {
  it.effect("have the same events under the same ids, and delivering them changes nothing in the log", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute } = yield* EventStore
      const { drain } = yield* OutboxProcessor
      const { ids } = yield* execute(Counter, randomUUID(), { add: 1, times: 3 }, { headers: { tenant: "t1" } })
      const log = sql`SELECT id, event_data, headers, stream_version, xid::text AS at, position FROM zakops.agent_events
        WHERE id = ANY (${[...ids]}::uuid[]) ORDER BY position`
      const before = yield* log
      assert.lengthOf(before, 3)
      assert.deepInclude(before[0], { id: ids[0], stream_version: 1n, headers: { tenant: "t1" } })
      const queued = yield* sql<{ id: string; status: string }>`SELECT id, status FROM zakops.outbox
        WHERE id = ANY (${[...ids]}::uuid[]) ORDER BY seq`
      assert.deepStrictEqual(
        queued.map(({ id, status }) => ({ id, status })),
        ids.map((id) => ({ id, status: "pending" }))
      )
      assert.strictEqual((yield* drain).delivered, 3)
      assert.deepStrictEqual(yield* log, before)
    }))

  it.effect("an event that is only emitted reaches the log without a version, and stands in no stream", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load, transact } = yield* EventStore
      const outbox = yield* Outbox
      const { drain } = yield* OutboxProcessor
      const counter = randomUUID()
      yield* execute(Counter, counter, { add: 1 })
      const id = yield* transact(
        outbox.emit(yield* Added.make({ by: 5 }, { aggregateId: counter }), { correlationId: counter })
      )
      yield* drain
      const [row] = yield* sql`SELECT stream_version FROM zakops.agent_events WHERE id = ${id}::uuid`
      assert.deepInclude(row, { stream_version: null })
      assert.deepStrictEqual(yield* load(Counter, counter), { state: 1, version: 1 })
    }))

  it.effect("an older transaction cannot append behind a younger one: it is run again from its beginning", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { append, read, transact } = yield* EventStore
      const stream = { aggregateType: "counter", aggregateId: randomUUID() }
      const [older, mayGoOn] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let runs = 0
      const slow = yield* Effect.forkChild(transact(Effect.gen(function*() {
        runs++
        yield* sql`SELECT pg_current_xact_id()::text`
        yield* Deferred.succeed(older, void 0)
        yield* Deferred.await(mayGoOn)
        // In a savepoint: the error has to reach the outermost transaction.
        return yield* transact(append(stream, "any", yield* add(2)))
      })))
      yield* Deferred.await(older)
      yield* transact(append(stream, "any", yield* add(1)))
      yield* Deferred.succeed(mayGoOn, void 0)
      assert.strictEqual((yield* Fiber.join(slow)).version, 2)
      assert.strictEqual(runs, 2)
      const order = yield* sql<{ stream_version: bigint }>`SELECT stream_version FROM zakops.agent_events
        WHERE aggregate_id = ${stream.aggregateId} ORDER BY xid, position`
      assert.deepStrictEqual(order.map((row) => row.stream_version), [1n, 2n])
      assert.lengthOf(yield* Stream.runCollect(read(stream)), 2)
    }))

  it.effect("an older transaction that a caller opened by other means is told so, and stays usable", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute } = yield* EventStore
      const id = randomUUID()
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT pg_current_xact_id()::text`
        // As another session would.
        yield* Effect.updateContext(
          execute(Counter, id, { add: 1 }),
          (context: Context.Context<never>) => Context.omit(sql.transactionService)(context)
        )
        const error = yield* Effect.flip(execute(Counter, id, { add: 1 }))
        assert.strictEqual(error._tag, "TransactionTooOld")
        yield* sql`SELECT 1`
      }))
    }))

  it.effect("a snapshot shortens the load, and is never needed for a right answer", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load } = yield* EventStore
      const id = randomUUID()
      const first = counterWithSnapshots(1)
      const kept = Effect.map(
        sql<{ snapshot_version: number; stream_version: bigint; state: unknown }>`
          SELECT snapshot_version, stream_version, state FROM zakops.snapshots WHERE aggregate_id = ${id}`,
        ([row]) => row === undefined ? undefined : [row.snapshot_version, Number(row.stream_version), row.state]
      )
      yield* execute(first, id, { add: 1, times: 9 })
      assert.isUndefined(yield* kept)
      yield* execute(first, id, { add: 1 })
      assert.deepStrictEqual(yield* kept, [1, 10, 10])
      yield* execute(first, id, { add: 1, times: 3 })
      assert.deepStrictEqual(yield* kept, [1, 10, 10], "not again before ten more events")

      // Shows that it is used.
      yield* sql`UPDATE zakops.snapshots SET state = '1000' WHERE aggregate_id = ${id}`
      assert.deepStrictEqual(yield* load(first, id), { state: 1003, version: 13 })
      // Stale or unreadable, it is not.
      const newer = counterWithSnapshots(2)
      assert.deepStrictEqual(yield* load(newer, id), { state: 13, version: 13 })
      yield* sql`UPDATE zakops.snapshots SET state = '"text"' WHERE aggregate_id = ${id}`
      assert.deepStrictEqual(yield* load(first, id), { state: 13, version: 13 })
      assert.deepInclude(yield* execute(newer, id, { add: 1 }), { state: 14, version: 14 })
      assert.deepStrictEqual(yield* kept, [2, 14, 14])
      // Of a history that is no more, as after a restore of single tables.
      yield* sql`UPDATE zakops.snapshots SET stream_version = 40 WHERE aggregate_id = ${id}`
      assert.deepStrictEqual(yield* load(newer, id), { state: 14, version: 14 })
      yield* sql`DELETE FROM zakops.snapshots`
      assert.deepStrictEqual(yield* load(newer, id), { state: 14, version: 14 })
    }))

  it.effect("a snapshot of a transaction that is rolled back goes with it, and one that cannot be encoded is not taken", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load, transact } = yield* EventStore
      const id = randomUUID()
      yield* Effect.ignore(transact(
        Effect.andThen(execute(counterWithSnapshots(1), id, { add: 1, times: 12 }), Effect.fail("no"))
      ))
      assert.deepStrictEqual(yield* load(counterWithSnapshots(1), id), { state: 0, version: 0 })
      const small = counterWithSnapshots(1, Schema.Int.check(Schema.isLessThan(5)))
      assert.deepInclude(yield* execute(small, id, { add: 1, times: 12 }), { state: 12, version: 12 })
      assert.lengthOf(yield* sql`SELECT 1 FROM zakops.snapshots WHERE aggregate_id = ${id}`, 0)
    }))

  it.effect("a stream with an event that its decider does not know is not folded without it", () =>
    Effect.gen(function*() {
      const { append, execute, transact } = yield* EventStore
      const id = randomUUID()
      const [known] = yield* add(1)
      const stranger = { ...(known ?? assert.fail()), type: "counter.doubled" }
      yield* transact(append({ aggregateType: "counter", aggregateId: id }, "any", [stranger]))
      const error = yield* Effect.flip(execute(Counter, id, { add: 1 }))
      assert.strictEqual(error._tag, "UndecodableEvent")
      const newer = { ...(known ?? assert.fail()), schemaVersion: 2 }
      const other = randomUUID()
      yield* transact(append({ aggregateType: "counter", aggregateId: other }, "any", [newer]))
      assert.strictEqual((yield* Effect.flip(execute(Counter, other, { add: 1 })))._tag, "NewerThanThisBuild")
    }))
})

layer(TestDatabase.layer, { excludeTestServices: true })("appends that share a statement", (it) => {
  // Sessions of its own: the statistics have what a session did when it ends.
  const ofItsOwn = store().pipe(Layer.provide(EventLog.layerPublisher), Layer.provide(TestDatabase.layerClient()))

  it.effect("find their streams by key, also with a plan that was made while there were none", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const ids = Array.from({ length: 400 }, () => randomUUID())
      const writeEach = Effect.fnUntraced(function*(expected: ExpectedVersion) {
        const { write } = yield* EventStore
        const [event] = yield* add(1)
        yield* Effect.forEach(
          ids,
          (aggregateId) => write({ aggregateType: "counter", aggregateId }, expected, [event ?? assert.fail()]),
          { concurrency: 40, discard: true }
        )
      })
      yield* Effect.provide(
        Effect.forEach(["noStream", "streamExists", 2] as const, writeEach, { discard: true }),
        ofItsOwn
      )
      const read = sql<{ moved: number; scanned: number }>`
        SELECT n_tup_upd::int AS moved, seq_tup_read::int AS scanned FROM pg_stat_user_tables
        WHERE schemaname = 'zakops' AND relname = 'streams'`
      yield* eventually(Effect.map(read, ([row]) => (row?.moved ?? 0) >= 2 * ids.length))
      assert.deepInclude((yield* read)[0], { scanned: 0 })
    }))

  it.effect("leave out a stream that a younger transaction has moved in the middle of the statement", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const other = yield* TestDatabase.otherClient
      // A statement that moves this stream stops there, until the lock is given up.
      yield* sql`CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$`
      const [straight, stopping, behind] = [randomUUID(), randomUUID(), randomUUID()]
      const ids = [straight, stopping, behind, randomUUID(), randomUUID()]
      yield* sql`CREATE TRIGGER stop BEFORE INSERT ON zakops.streams FOR EACH ROW
        WHEN (NEW.aggregate_id = ${sql.literal(`'${stopping}'`)}) EXECUTE FUNCTION stop()`
      yield* Effect.provide(
        Effect.gen(function*() {
          const { append, transact, write } = yield* EventStore
          const stream = (aggregateId: string) => ({ aggregateType: "counter", aggregateId })
          const event = yield* add(1)
          for (const id of ids) yield* write(stream(id), "noStream", event)
          const writing = yield* other.withTransaction(Effect.gen(function*() {
            yield* other`SELECT pg_advisory_xact_lock(7)`
            // The first goes alone; those that come meanwhile share the next statement: all of them, or the first two where the other
            // lane is free as well, because this process was not given the time to begin within the patience of the first.
            const writing = yield* Effect.forkChild(
              Effect.forEach(ids, (id) => write(stream(id), "streamExists", event), {
                concurrency: "unbounded"
              })
            )
            yield* eventually(Effect.map(
              sql`SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
                WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted AND objid = 7`,
              (rows) => rows.length === 1
            ))
            assert.strictEqual((yield* transact(append(stream(behind), 1, event))).version, 2)
            return writing
          }))
          assert.deepStrictEqual((yield* Fiber.join(writing)).map(({ version }) => version), [2, 2, 3, 2, 2])
        }),
        ofItsOwn
      )
      const order = yield* sql<{ stream_version: bigint }>`SELECT stream_version FROM zakops.agent_events
        WHERE aggregate_id = ${behind} ORDER BY xid, position`
      assert.deepStrictEqual(order.map((row) => row.stream_version), [1n, 2n, 3n])
    }))
})

const withInline = layerWith({
  inline: [{
    name: "totals",
    handle: (events) =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        for (const { envelope } of events) {
          const { by } = envelope.data as { readonly by: number }
          yield* sql`INSERT INTO totals AS t VALUES (${envelope.aggregateId}, ${by}) ON CONFLICT (id) DO UPDATE SET total = t.total + ${by}`
        }
      })
  }]
})

layer(
  withInline.pipe(
    Layer.provideMerge(services()),
    Layer.provideMerge(EventLog.layerPublisher),
    Layer.provideMerge(Layer.effectDiscard(Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE totals (id text PRIMARY KEY, total int CHECK (total < 100))`
    }))),
    Layer.provideMerge(TestDatabase.layer)
  ),
  { excludeTestServices: true }
)("an inline projection", (it) => {
  it.effect("is written with the append, and what it refuses is not appended", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load, transact } = yield* EventStore
      const id = randomUUID()
      const total = Effect.map(
        sql<{ total: number }>`SELECT total FROM totals WHERE id = ${id}`,
        ([row]) => Option.fromUndefinedOr(row?.total)
      )
      yield* execute(Counter, id, { add: 30, times: 2 })
      assert.deepStrictEqual(yield* total, Option.some(60))
      yield* transact(Effect.gen(function*() {
        const error = yield* Effect.flip(execute(Counter, id, { add: 50 }))
        assert.strictEqual(error._tag, "InlineProjectionFailed")
        assert.include(error.message, "totals")
        yield* execute(Counter, id, { add: 5 })
      }))
      assert.deepStrictEqual(yield* total, Option.some(65))
      assert.deepStrictEqual(yield* load(Counter, id), { state: 65, version: 3 })
    }))
})

layer(
  store({ enabled: false }).pipe(Layer.provideMerge(FakePublisher.layer), Layer.provideMerge(TestDatabase.layer)),
  { excludeTestServices: true }
)("with the outbox switched off", (it) => {
  it.effect("events go to the log and straight to the destination", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load } = yield* EventStore
      const fake = yield* FakePublisher
      const id = randomUUID()
      const { ids } = yield* execute(Counter, id, { add: 1, times: 2 })
      assert.deepStrictEqual(fake.calls.map((call) => call.id), [...ids])
      assert.deepStrictEqual(yield* load(Counter, id), { state: 2, version: 2 })
      assert.lengthOf(yield* sql`SELECT 1 FROM zakops.outbox`, 0)
    }))
})
