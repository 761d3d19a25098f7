/** Delays, deadlines, the history of attempts, waits of one's own, and entries that make their process crash. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import { deadlinePassed, leaseExpired } from "@zakops/outbox/EntryLifecycle"
import type { EmitOptions } from "@zakops/outbox"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { FakePublisher, startAfresh } from "../support/FakePublisher.ts"
import { claim, emitDeals, emptyTables, entries, entry, eventually, loggedIds, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const OnVirtualTime = TestDatabase.layer.pipe(Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)))
const External = services({ publishTimeout: Duration.hours(1) }).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(OnVirtualTime)
)
const IntoTheLog = services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(OnVirtualTime))

interface AttemptRow {
  readonly attempt: number
  readonly outcome: string
  readonly worker: string | null
  readonly started: number | null
  readonly ended: number
  readonly error: string | null
}

/** The history of an entry, times in seconds from the epoch of the test. */
const history = (id: string) =>
  Effect.flatMap(SqlClient, (sql) =>
    sql<AttemptRow>`
      SELECT attempt, outcome, worker, extract(epoch FROM started_at)::float8 AS started, extract(epoch FROM ended_at)::float8 AS ended,
        error
      FROM zakops.outbox_attempts WHERE entry_id = ${id}::uuid ORDER BY id`)

const outcomes = (id: string) =>
  Effect.map(history(id), (rows) => rows.map(({ attempt, outcome }) => [attempt, outcome]))

layer(External)("an external destination", (it) => {
  it.effect("gets a delayed event when its time has come, and not before", () =>
    Effect.gen(function*() {
      const { drain } = yield* startAfresh
      const now = new Date(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
      const [delayed = ""] = yield* emitDeals(1, { delay: "2 minutes" })
      const [at = ""] = yield* emitDeals(1, { deliverAt: new Date(now.getTime() + 60_000) })
      yield* TestClock.adjust("59999 millis")
      assert.deepInclude(yield* drain, { delivered: 0 })
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* drain, { delivered: 1 })
      assert.deepInclude(yield* entry(at), { status: "delivered" })
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* drain, { delivered: 1 })
      assert.deepInclude(yield* entry(delayed), { status: "delivered" })
    }))

  it.effect("does not get an event after its deadline: it is dead, uncharged, with that reason", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const expiresAt = new Date((yield* Effect.clockWith((clock) => clock.currentTimeMillis)) + 20_000)
      fake.respond = () => Effect.fail(new Transient({ reason: "not now" }))
      const [id = ""] = yield* emitDeals(1, { expiresAt })
      yield* drain
      yield* TestClock.adjust("5 seconds")
      yield* drain
      fake.respond = () => Effect.void
      yield* TestClock.adjust("15 seconds")
      assert.deepInclude(yield* drain, { dead: 1, delivered: 0 })
      assert.deepInclude(yield* entry(id), { status: "dead", attempts: 2, error_message: deadlinePassed })
      assert.lengthOf(fake.calls, 2)
      assert.deepStrictEqual(yield* outcomes(id), [[1, "failed"], [2, "failed"], [2, "deadline_passed"]])
    }))

  it.effect("may take an event that was claimed before its deadline", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const expiresAt = new Date((yield* Effect.clockWith((clock) => clock.currentTimeMillis)) + 10_000)
      const answer = yield* Deferred.make<void>()
      fake.respond = () => Deferred.await(answer)
      const [id = ""] = yield* emitDeals(1, { expiresAt })
      const running = yield* Effect.forkChild(runOnce)
      yield* eventually(Effect.sync(() => fake.calls.length === 1))
      yield* TestClock.adjust("15 seconds")
      assert.deepInclude(yield* runOnce, { dead: 0 })
      yield* Deferred.succeed(answer, void 0)
      yield* Fiber.join(running)
      assert.deepInclude(yield* entry(id), { status: "delivered" })
    }))

  it.effect("leaves a line for every attempt that did not deliver, and none for one that did", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const began = (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) / 1000
      const [id = ""] = yield* emitDeals(1, { maxAttempts: 4, traceId: "0af7651916cd43dd8448eb211c80319c" })
      fake.respond = () => Effect.fail(new Transient({ reason: "not now" }))
      yield* runOnce
      yield* TestClock.adjust("5 seconds")
      yield* claim(1, Duration.seconds(30), randomUUID(), "a worker that vanishes")
      yield* TestClock.adjust("31 seconds")
      yield* runOnce
      yield* TestClock.adjust("15 seconds")
      fake.respond = () => Effect.fail(new TransportDown({ reason: "connection refused" }))
      yield* runOnce
      fake.respond = () => Effect.void
      assert.deepInclude(yield* runOnce, { delivered: 1 })
      const rows = yield* history(id)
      const sql = yield* SqlClient
      const [me] = yield* sql<{ worker: string }>`SELECT claimed_by AS worker FROM zakops.outbox WHERE id = ${id}::uuid`
      const worker = me?.worker ?? ""
      assert.match(worker, /:\d+$/)
      assert.deepStrictEqual(
        rows.map((
          row
        ) => [row.attempt, row.outcome, row.worker, (row.started ?? NaN) - began, row.ended - began, row.error]),
        [
          [1, "failed", worker, 0, 0, "not now"],
          [2, "lease_expired", "a worker that vanishes", 5, 36, leaseExpired],
          [3, "handed_back", worker, 51, 51, "connection refused"]
        ]
      )
      const refused = yield* Effect.flip(sql`UPDATE zakops.outbox_attempts SET outcome = 'x'`)
      assert.include(String((refused.reason.cause as Error).message), "append-only")
    }))

  it.effect("leaves a line for a worker that was fenced", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const answer = yield* Deferred.make<void>()
      fake.respond = () => Deferred.await(answer)
      const [id = ""] = yield* emitDeals(1)
      const paused = yield* Effect.forkChild(runOnce)
      yield* eventually(Effect.sync(() => fake.calls.length === 1))
      yield* TestClock.adjust("31 seconds")
      yield* runOnce
      yield* Deferred.succeed(answer, void 0)
      assert.deepInclude(yield* Fiber.join(paused), { fenced: 1 })
      assert.deepStrictEqual(yield* outcomes(id), [[1, "lease_expired"], [1, "fenced"]])
    }))

  it.effect("may say how long to wait, but not whether there is another attempt", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const [id = ""] = yield* emitDeals(1, { maxAttempts: 2 })
      fake.respond = () => Effect.fail(new Transient({ reason: "busy", retryAfter: Duration.minutes(7) }))
      yield* drain
      yield* TestClock.adjust("419 seconds")
      assert.deepInclude(yield* drain, { dead: 0, retried: 0 })
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* drain, { dead: 1 })
      assert.deepInclude(yield* entry(id), { attempts: 2 })
    }))

  it.effect("is tried as often, and with the waits, that the event's definition says", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const Impatient = EventDefinition.make("deal.impatient", {
        payload: Schema.Struct({}),
        delivery: { maxAttempts: 9, retry: Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 2 })) }
      })
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      const options: EmitOptions = { correlationId: randomUUID() }
      const id = yield* transact(Effect.flatMap(Impatient.make({}), (event) => outbox.emit(event, options)))
      fake.respond = () => Effect.fail(new Transient({ reason: "busy" }))
      yield* drain
      for (let attempt = 2; attempt <= 3; attempt++) {
        yield* TestClock.adjust("1999 millis")
        assert.deepInclude(yield* drain, { retried: 0, dead: 0 })
        yield* TestClock.adjust("1 millis")
        yield* drain
      }
      assert.deepInclude(yield* entry(id), { status: "dead", attempts: 3 })
    }))

  it.effect("gets an event that made its process crash twice alone, when all the others are through", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const [bad = ""] = yield* emitDeals(1)
      for (let crash = 0; crash < 2; crash++) {
        assert.lengthOf(yield* claim(10, Duration.seconds(30)), 1)
        yield* TestClock.adjust("31 seconds")
        yield* runOnce
        yield* TestClock.adjust("15 seconds")
      }
      const others = yield* emitDeals(3)
      assert.deepInclude(yield* runOnce, { delivered: 3 })
      assert.sameMembers(fake.calls.map(({ id }) => id), [...others])
      assert.deepInclude(yield* runOnce, { delivered: 1 })
      assert.strictEqual(fake.calls.at(-1)?.id, bad)
      assert.deepStrictEqual(yield* outcomes(bad), [[1, "lease_expired"], [2, "lease_expired"]])
    }))
})

layer(
  services({ pollInterval: Duration.millis(50), batchSize: 10 }).pipe(
    Layer.provideMerge(FakePublisher.layer),
    Layer.provideMerge(TestDatabase.layer)
  ),
  { excludeTestServices: true }
)("a running processor", (it) => {
  it.effect("delivers an event that crashed two processes with nothing else in flight", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const fake = yield* FakePublisher
      const [bad = ""] = yield* emitDeals(1)
      yield* sql`UPDATE zakops.outbox SET crashes = 2`
      const others = yield* emitDeals(200)
      let [open, beside] = [0, 0]
      fake.respond = ({ id }) =>
        Effect.gen(function*() {
          open++
          if (id === bad) beside = open - 1
          yield* Effect.sleep("5 millis")
          if (id === bad) beside = Math.max(beside, open - 1)
          open--
        })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status === "delivered")))
      }))
      assert.lengthOf(fake.calls, others.length + 1)
      assert.strictEqual(beside, 0)
    }))

  it.effect("declares an event dead at its deadline, while it has nothing else to do", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const fake = yield* FakePublisher
      fake.respond = () => Effect.fail(new Permanent({ reason: "not to be called" }))
      const [id = ""] = yield* emitDeals(1, { delay: "1 hour" })
      yield* sql`UPDATE zakops.outbox SET expires_at = statement_timestamp() + interval '300 milliseconds'`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.map(entry(id), ({ status }) => status === "dead"))
      }))
      assert.deepInclude(yield* entry(id), { attempts: 0, error_message: deadlinePassed })
    }))

  it.effect("declares an event dead at its deadline, while the destination is down", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const fake = yield* FakePublisher
      fake.respond = () => Effect.fail(new TransportDown({ reason: "connection refused" }))
      yield* emitDeals(1)
      const [id = ""] = yield* emitDeals(1, { delay: "1 hour" })
      yield* sql`UPDATE zakops.outbox SET expires_at = statement_timestamp() + interval '500 milliseconds' WHERE id = ${id}::uuid`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.map(entry(id), ({ status }) => status === "dead"), 10)
      }))
      assert.deepInclude(yield* entry(id), { attempts: 0, error_message: deadlinePassed })
    }))

  it.effect("probes a destination that is down with what crashed two processes, where nothing else is due", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const fake = yield* FakePublisher
      fake.calls.length = 0
      fake.respond = () => fake.calls.length === 1 ? Effect.fail(new TransportDown({ reason: "refused" })) : Effect.void
      const [bad = ""] = yield* emitDeals(1)
      yield* sql`UPDATE zakops.outbox SET crashes = 2`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.map(entry(bad), ({ status }) => status === "delivered"), 10)
      }))
      assert.lengthOf(fake.calls, 2)
    }))
})

layer(IntoTheLog)("the log", (it) => {
  it.effect("gets delayed events in time, and none after its deadline; each failed attempt has its line", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { drain } = yield* OutboxProcessor
      const sql = yield* SqlClient
      const [late = ""] = yield* emitDeals(1, { delay: "1 hour" })
      const [never = ""] = yield* emitDeals(1, { delay: "1 hour", expiresAt: new Date(1_800_000) })
      yield* sql`ALTER TABLE zakops.agent_events ADD CONSTRAINT no_bad CHECK (event_data->>'title' <> 'bad')`
      const [bad = ""] = yield* emitDeals(1, { title: "bad", maxAttempts: 2 })
      assert.deepInclude(yield* drain, { delivered: 0, retried: 1 })
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* drain, { dead: 1 })
      assert.deepStrictEqual(yield* outcomes(bad), [[1, "failed"], [2, "failed"]])
      yield* TestClock.adjust("1 hour")
      assert.deepInclude(yield* drain, { delivered: 1, dead: 1 })
      assert.deepStrictEqual(yield* loggedIds, [late])
      assert.deepStrictEqual(yield* outcomes(never), [[0, "deadline_passed"]])
    }))
})
