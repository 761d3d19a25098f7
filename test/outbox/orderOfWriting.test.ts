/** Events of one key are numbered by seq in the order in which their transactions commit. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { emptyTables, eventually, moment, services, waitingForKeys } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer))

/** One transaction: the keys that it emits to, in order, with pauses in milliseconds. */
const Session = Schema.Struct({
  emits: Schema.Array(Schema.Struct({
    keys: Schema.Array(Schema.Literals(["a", "b", "c"])).check(Schema.isMinLength(1), Schema.isMaxLength(3)),
    pause: Schema.Literals([0, 0, 1, 3])
  })).check(Schema.isMinLength(1), Schema.isMaxLength(2)),
  end: Schema.Literals(["commit", "commit", "roll back"]),
  lastPause: Schema.Literals([0, 2, 5])
})
const Plan = Schema.Array(Session).check(Schema.isMinLength(2), Schema.isMaxLength(16))

layer(Live, { excludeTestServices: true })("events with an ordering key", (it) => {
  const setUp = Effect.gen(function*() {
    yield* emptyTables
    const outbox = yield* Outbox
    const { transact } = yield* TransactionalPublisher
    const event = yield* DealMade.make({ dealId: "d", title: "t" })
    const correlationId = randomUUID()
    const emit = (...keys: ReadonlyArray<string>) =>
      outbox.emitAll(keys.map((orderingKey) => ({ event, correlationId, orderingKey })))
    return { sql: yield* SqlClient, emit, transact }
  })

  it.effect("make a second transaction wait until the first has committed, or was rolled back", () =>
    Effect.gen(function*() {
      const { emit, sql, transact } = yield* setUp
      for (const end of ["commit", "roll back"] as const) {
        yield* emptyTables
        const mayEnd = yield* Deferred.make<void>()
        const emitted = yield* Deferred.make<void>()
        const first = yield* Effect.forkChild(transact(Effect.gen(function*() {
          const ids = yield* emit("a")
          yield* Deferred.succeed(emitted, void 0)
          yield* Deferred.await(mayEnd)
          return end === "commit" ? ids : yield* Effect.fail("no")
        })))
        yield* Deferred.await(emitted)
        const second = yield* Effect.forkChild(transact(emit("a")))
        yield* eventually(Effect.map(waitingForKeys, (count) => count === 1))
        // Another key does not wait, nor does an event without one.
        yield* transact(emit("b"))
        assert.isUndefined(second.pollUnsafe())
        yield* Deferred.succeed(mayEnd, void 0)
        const firstIds = Exit.isSuccess(yield* Fiber.await(first)) ? yield* Fiber.join(first) : []
        const secondIds = yield* Fiber.join(second)
        const rows = yield* sql<{ id: string }>`SELECT id FROM zakops.outbox WHERE ordering_key = 'a' ORDER BY seq`
        assert.deepStrictEqual(rows.map(({ id }) => id), [...firstIds, ...secondIds])
      }
    }))

  it.effect("make programs in plain SQL wait that take the key's lock as the documentation says", () =>
    Effect.gen(function*() {
      const { emit, sql, transact } = yield* setUp
      const locked = yield* Deferred.make<void>()
      const mayEnd = yield* Deferred.make<void>()
      const plain = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT pg_advisory_xact_lock(hashtext('zakops.outbox'), hashtext('deal/7') & 4095)::text`
        yield* Deferred.succeed(locked, void 0)
        yield* Deferred.await(mayEnd)
        yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, ordering_key)
          VALUES (gen_random_uuid(), gen_random_uuid(), 'plain', '{}', 'deal/7')`
      })))
      yield* Deferred.await(locked)
      const ours = yield* Effect.forkChild(transact(emit("deal/7")))
      yield* eventually(Effect.map(waitingForKeys, (count) => count === 1))
      yield* Deferred.succeed(mayEnd, void 0)
      yield* Fiber.join(plain)
      yield* Fiber.join(ours)
      const rows = yield* sql`SELECT event_type FROM zakops.outbox ORDER BY seq`
      assert.deepStrictEqual(rows.map((row) => row["event_type"]), ["plain", "deal.made"])
    }))

  it.effect.prop(
    "come after all that was committed with their key before, and before all that is committed after",
    { plan: Plan },
    Effect.fnUntraced(function*({ plan }) {
      const { emit, sql, transact } = yield* setUp
      const before = (id: string) =>
        Effect.map(
          sql<{ id: string }>`SELECT before.id FROM zakops.outbox mine JOIN zakops.outbox before USING (ordering_key)
            WHERE mine.id = ${id}::uuid AND before.seq < mine.seq ORDER BY before.seq`,
          (rows) => rows.map((row) => row.id)
        )
      const sawBefore = new Map<string, ReadonlyArray<string>>()
      const session = ({ emits, end, lastPause }: typeof Session.Type) =>
        transact(Effect.gen(function*() {
          // Those that meet on two keys in opposite orders are found soon, and one of them is rolled back.
          yield* sql`SET LOCAL deadlock_timeout = '5ms'`
          const seen = new Map<string, ReadonlyArray<string>>()
          for (const { keys, pause } of emits) {
            yield* moment(pause)
            for (const id of yield* emit(...keys)) seen.set(id, yield* before(id))
          }
          yield* moment(lastPause)
          return end === "roll back" ? yield* Effect.fail("rolled back" as const) : seen
        })).pipe(
          Effect.tap((seen) => Effect.sync(() => seen.forEach((ids, id) => sawBefore.set(id, ids)))),
          Effect.ignore
        )
      yield* Effect.forEach(plan, session, { concurrency: 8, discard: true })
      // What each saw before itself while it held the key is all that ever stands there.
      for (const [id, seen] of sawBefore) assert.deepStrictEqual(yield* before(id), seen)
    }),
    { arbitrary: { runs: 25 } }
  )

  it.effect("do not deadlock, however large two batches are and however their keys are sorted", () =>
    Effect.gen(function*() {
      const { emit, sql, transact } = yield* setUp
      const keys = Array.from({ length: 2500 }, (_, i) => `key ${i}`)
      const batches = [keys, keys.toReversed(), keys, keys.toReversed()]
      yield* Effect.forEach(batches, (batch) => transact(emit(...batch)), { concurrency: 4, discard: true })
      assert.lengthOf(yield* sql`SELECT 1 FROM zakops.outbox`, 10_000)
    }))

  it.effect("of 20,000 keys fit into a transaction on a server with its default settings", () =>
    Effect.gen(function*() {
      const { emit, sql, transact } = yield* setUp
      assert.deepStrictEqual(yield* sql`SHOW max_locks_per_transaction`, [{ max_locks_per_transaction: "64" }])
      const keys = Array.from({ length: 20_000 }, (_, i) => `deal/${i}`)
      const [count] = yield* transact(Effect.andThen(
        emit(...keys),
        sql<{ locks: number }>`SELECT count(*)::int AS locks FROM pg_locks
          WHERE pid = pg_backend_pid() AND locktype = 'advisory'`
      ))
      // No more than there are locks for all keys together.
      assert.isAtMost(count?.locks ?? 0, 4096)
      assert.isAbove(count?.locks ?? 0, 4000)
      const rows = yield* sql<{ ordering_key: string }>`SELECT ordering_key FROM zakops.outbox ORDER BY seq`
      assert.deepStrictEqual(rows.map((row) => row.ordering_key), keys)
    }))
})
