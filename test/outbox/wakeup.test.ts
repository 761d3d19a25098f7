/**
 * What wakes a processor: a commit here or in another process, the next due time, the poll. In real time, with the others out of reach.
 */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { Transient } from "@zakops/events/EventPublisher"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import { RetryPolicy } from "@zakops/outbox/RetryPolicy"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { PgClient } from "@effect/sql-pg/PgClient"
import { DealMade } from "../support/events.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, entries, eventually, moment, services } from "../support/outbox.ts"
import { slowCommit } from "../support/slowCommit.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const never = Duration.hours(1)

const delivered = Effect.map(entries, (rows) => rows.length > 0 && rows.every(({ status }) => status === "delivered"))

/** The outbox as another process has it: a client and services of its own on the same database. */
const elsewhere = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.provide(
    self,
    services().pipe(Layer.provide(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layerClient()))
  )

const Log = services({ pollInterval: never }).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Log, { excludeTestServices: true })("a processor that never polls", (it) => {
  const running = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.scoped(Effect.gen(function*() {
      const { start } = yield* OutboxProcessor
      yield* emptyTables
      yield* start
      // It looks once when it starts; what comes later has to wake it.
      yield* listening
      yield* moment(50)
      return yield* self
    }))

  const listening = Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* eventually(Effect.map(
      sql`SELECT 1 FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'zakops_outbox listener' AND query LIKE 'LISTEN%'`,
      (rows) => rows.length > 0
    ))
  })

  it.effect("is woken by a commit in its own process", () =>
    running(Effect.gen(function*() {
      yield* emitDeals(3)
      yield* eventually(delivered)
    })))

  it.effect("is woken by the commit of a transaction in whose savepoints something was emitted, whoever opened which", () =>
    running(Effect.gen(function*() {
      const sql = yield* SqlClient
      const { join, transact } = yield* TransactionalPublisher
      const joined = Effect.flatMap(
        Effect.all([Outbox, DealMade.make({ dealId: randomUUID(), title: "joined" })]),
        ([outbox, event]) => outbox.emit(event, { correlationId: randomUUID() })
      )
      for (
        const nested of [
          transact(emitDeals(1)),
          transact(transact(emitDeals(1))),
          sql.withTransaction(emitDeals(1)),
          sql.withTransaction(transact(emitDeals(1))),
          transact(sql.withTransaction(emitDeals(1))),
          sql.withTransaction(join(joined)),
          transact(sql.withTransaction(join(joined))),
          transact(Effect.andThen(emitDeals(1), Effect.exit(transact(Effect.fail("the savepoint is rolled back")))))
        ]
      ) {
        yield* emptyTables
        yield* nested
        yield* eventually(delivered)
      }
    })))

  it.effect("is woken by a commit that its program was interrupted at", () =>
    running(Effect.gen(function*() {
      const sql = yield* SqlClient
      const { transact } = yield* TransactionalPublisher
      const slow = yield* slowCommit(0.3)
      const emitting = yield* Effect.forkChild(
        transact(Effect.andThen(slow, emitDeals(1)))
      )
      yield* eventually(Effect.map(
        sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT' AND state = 'active'`,
        (rows) => rows.length > 0
      ))
      yield* Fiber.interrupt(emitting)
      yield* eventually(delivered)
    })))

  it.effect("is woken by a commit in another process", () =>
    running(Effect.gen(function*() {
      yield* elsewhere(emitDeals(3))
      yield* eventually(delivered)
    })))

  it.effect("listens again after its connection was killed, and finds what was committed meanwhile", () =>
    running(Effect.gen(function*() {
      const sql = yield* SqlClient
      const killed = yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'zakops_outbox listener'`
      assert.lengthOf(killed, 1)
      const id = randomUUID()
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id) VALUES (${id}, ${id})`
      yield* eventually(delivered)
      yield* listening
      yield* elsewhere(emitDeals(1))
      yield* eventually(delivered)
    })))

  it.effect("is not told of what was rolled back, and of many commits only now and then", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* PgClient
      const notifications = yield* sql.listen("zakops_outbox")
      const { transact } = yield* TransactionalPublisher
      for (const within of [sql.withTransaction, transact]) {
        yield* Effect.ignore(within(Effect.andThen(emitDeals(1), Effect.fail("rolled back"))))
        yield* Effect.ignore(within(Effect.ignore(transact(Effect.andThen(emitDeals(1), Effect.fail("rolled back"))))))
      }
      yield* moment(50)
      assert.strictEqual(yield* Queue.size(notifications), 0)

      yield* Effect.forEach(Array.from({ length: 300 }), () => emitDeals(1), { concurrency: 8, discard: true })
      yield* eventually(Effect.map(Queue.size(notifications), (size) => size > 0))
      yield* moment(50)
      assert.isBelow(yield* Queue.size(notifications), 200)
    })))
})

const Polling = services({ pollInterval: Duration.millis(50) }).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Polling, { excludeTestServices: true })("a processor that polls", (it) => {
  it.effect("finds what a producer inserted in plain SQL, which told nobody", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const { start } = yield* OutboxProcessor
      yield* start
      yield* moment(100)
      const id = randomUUID()
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data) VALUES (${id}, ${id}, 'a', '{}')`
      yield* eventually(delivered)
    })))
})

const Retrying = services({ pollInterval: never }).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(RetryPolicy, Schedule.spaced("200 millis")))
)

layer(Retrying, { excludeTestServices: true })("a processor with an entry that waits", (it) => {
  it.effect("wakes at its due time", () =>
    Effect.scoped(Effect.gen(function*() {
      const fake = yield* FakePublisher
      const { start } = yield* OutboxProcessor
      fake.respond = () => fake.calls.length < 3 ? Effect.fail(new Transient({ reason: "busy" })) : Effect.void
      yield* start
      yield* emitDeals(1)
      yield* eventually(delivered)
      assert.lengthOf(fake.calls, 3)
    })))
})
