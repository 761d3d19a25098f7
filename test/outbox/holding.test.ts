/** What a worker holds, and what becomes of it: slow keys, late turns, publishers that misbehave, workers that are interrupted. */
import { assert, layer } from "@effect/vitest"
import { Transient } from "@zakops/events/EventPublisher"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { OutboxProcessor } from "@zakops/outbox"
import { nextDueTime } from "@zakops/outbox/claiming/nextDueTime"
import * as Arr from "effect/Array"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { FakePublisher, startAfresh } from "../support/FakePublisher.ts"
import { emitKeyed, overtakings } from "../support/keys.ts"
import { claim, emitDeals, emptyTables, entries, entry, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const lease = Duration.seconds(30)

const outcomes = Effect.flatMap(SqlClient, (sql) =>
  Effect.map(
    sql<{ outcome: string }>`SELECT outcome FROM zakops.outbox_attempts ORDER BY id`,
    (rows) => rows.map(({ outcome }) => outcome)
  ))

layer(
  services({ publishTimeout: Duration.seconds(10) }).pipe(
    Layer.provideMerge(FakePublisher.layer),
    Layer.provideMerge(TestDatabase.layer),
    Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
  )
)("a worker", (it) => {
  it.effect("that is gone costs the entries that it had not begun nothing, where they stood behind another of their key", () =>
    Effect.gen(function*() {
      const { drain, fake, runOnce } = yield* startAfresh
      const ids = yield* emitKeyed(Arr.replicate("a", 20))
      assert.lengthOf(yield* claim(20, lease), 20)
      yield* TestClock.adjust("31 seconds")
      assert.deepInclude(yield* runOnce, { retried: 1 })
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* drain, { delivered: 20 })
      assert.deepStrictEqual(fake.calls.map(({ id }) => id), [...ids])
      assert.sameMembers([...(yield* outcomes)], ["lease_expired", ...Arr.replicate("handed_back", 19)])
    }))

  it.effect("does not begin what it has held for longer than its lease, nor what is late by then", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      const [first = "", late = "", third = ""] = yield* emitKeyed(["a", "a", "a"])
      const sql = yield* SqlClient
      yield* sql`UPDATE zakops.outbox SET expires_at = ${new Date(
        now + 5000
      )}, on_dead = 'skip' WHERE id = ${late}::uuid`
      const answer = yield* Deferred.make<void>()
      fake.respond = () => Deferred.await(answer)
      const running = yield* Effect.forkChild(runOnce)
      yield* eventually(Effect.sync(() => fake.calls.length === 1))
      yield* TestClock.adjust("6 seconds")
      yield* Deferred.succeed(answer, void 0)
      yield* Fiber.join(running)
      assert.deepInclude(yield* entry(first), { status: "delivered" })
      assert.deepInclude(yield* entry(late), { status: "dead", attempts: 0 })
      assert.deepInclude(yield* entry(third), { status: "pending", attempts: 0 })
      assert.deepStrictEqual(yield* outcomes, ["deadline_passed"])

      const stopped = yield* Deferred.make<void>()
      fake.respond = () => Deferred.await(stopped)
      yield* emitKeyed(["a"])
      const slow = yield* Effect.forkChild(runOnce)
      yield* eventually(Effect.sync(() => fake.calls.length === 2))
      // The publish timeout ends the call; by then nobody knows whose the next one is.
      yield* sql`UPDATE zakops.outbox SET lease_until = lease_until - interval '1 minute' WHERE status = 'processing'`
      yield* TestClock.adjust("31 seconds")
      yield* Fiber.join(slow)
      assert.lengthOf(fake.calls, 2)
    }))

  it.effect("takes a publisher that throws, and one that cannot be interrupted, for a failed attempt", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const [thrown = ""] = yield* emitDeals(1)
      fake.respond = () => {
        throw new Error("no effect at all")
      }
      assert.deepInclude(yield* runOnce, { retried: 1 })
      assert.include((yield* entry(thrown)).error_message, "no effect at all")

      const [stubborn = ""] = yield* emitDeals(1)
      const never = yield* Deferred.make<void>()
      fake.respond = () => Effect.uninterruptible(Deferred.await(never))
      const running = yield* Effect.forkChild(runOnce)
      yield* eventually(Effect.sync(() => fake.calls.length === 2))
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* Fiber.join(running), { retried: 1 })
      assert.include((yield* entry(stubborn)).error_message, "no answer")
      yield* Deferred.succeed(never, void 0)
    }))

  it.effect("that is interrupted hands back what it held, uncharged", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      fake.respond = () => Effect.never
      yield* emitDeals(3)
      yield* emitKeyed(["a", "a"])
      const running = yield* Effect.forkChild(runOnce)
      yield* eventually(Effect.sync(() => fake.calls.length === 4))
      yield* Fiber.interrupt(running)
      assert.isTrue((yield* entries).every(({ attempts, claim_id, status }) =>
        status === "pending" && attempts === 0 && claim_id === null
      ))
      assert.deepStrictEqual(yield* outcomes, Arr.replicate("handed_back", 4))
    }))

  it.effect("does not wake for a deadline that has passed while its entry is held", () =>
    Effect.gen(function*() {
      yield* startAfresh
      const db = yield* Database.make
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* emitDeals(1, { expiresAt: new Date(now + 1000) })
      yield* claim(1, lease)
      assert.deepStrictEqual(yield* nextDueTime(db, null)(0), Option.some(Duration.seconds(1)))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* nextDueTime(db, null)(0), Option.none())
      // What fell due after the last look is not lost between the two.
      assert.deepStrictEqual(yield* nextDueTime(db, null)(2001), Option.some(Duration.millis(1)))
    }))
})

layer(
  services({ pollInterval: Duration.millis(100), batchBytes: 1_000_000 }).pipe(
    Layer.provideMerge(FakePublisher.layer),
    Layer.provideMerge(TestDatabase.layer)
  ),
  { excludeTestServices: true }
)("a running processor", (it) => {
  it.effect("delivers the other events while several keys with a long backlog are slow", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const fake = yield* FakePublisher
      const gate = yield* Deferred.make<void>()
      const slow = new Set(yield* emitKeyed(Arr.makeBy(1200, (n) => `slow ${n % 6}`)))
      fake.respond = ({ id }) => slow.has(id) ? Deferred.await(gate) : Effect.void
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.sync(() => fake.calls.length === 6))
        const others = [...(yield* emitDeals(50)), ...(yield* emitKeyed(Arr.makeBy(50, (n) => `quick ${n}`)))]
        yield* eventually(Effect.sync(() => others.every((id) => fake.calls.some((call) => call.id === id))))
        yield* Deferred.succeed(gate, void 0)
        yield* eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status === "delivered")), 30)
      }))
      assert.deepStrictEqual(yield* overtakings(fake.calls.map(({ id }) => id)), [])
    }))

  it.effect("holds no more than two batches in bytes", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const fake = yield* FakePublisher
      const gate = yield* Deferred.make<void>()
      fake.respond = () => Deferred.await(gate)
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data)
        SELECT gen_random_uuid(), gen_random_uuid(), 'large', to_jsonb(repeat(md5(n::text), 3125)) FROM generate_series(1, 60) n`
      const held = Effect.map(entries, (rows) => rows.filter(({ status }) => status === "processing").length)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.map(held, (count) => count >= 20))
        yield* Effect.sleep("300 millis")
        // 100 kB each; the last of a batch may go beyond its bound.
        assert.isAtMost(yield* held, 22)
        yield* Deferred.succeed(gate, void 0)
        yield* eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status === "delivered")))
      }))
    }))

  it.effect("tells nobody of being fenced where only its own settling was tried again", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const fake = yield* FakePublisher
      fake.respond = ({ id }) => id === bad ? Effect.fail(new Transient({ reason: "not now" })) : Effect.void
      const [bad = "", ...rest] = yield* emitDeals(10)
      // Settling what was not delivered is refused once, after what was delivered had been settled.
      yield* sql`CREATE SEQUENCE zakops.refusals`
      yield* sql.unsafe(`CREATE FUNCTION zakops.refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('zakops.refusals') = 1 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$`)
      yield* sql`CREATE TRIGGER refuse_once BEFORE INSERT ON zakops.outbox_attempts FOR EACH ROW EXECUTE FUNCTION zakops.refuse_once()`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.map(outcomes, (all) => all.length > 0))
        yield* eventually(
          Effect.map(entries, (rows) => rows.filter(({ status }) => status === "delivered").length === rest.length)
        )
      }))
      assert.deepStrictEqual(yield* outcomes, ["failed"])
      yield* sql`DROP TRIGGER refuse_once ON zakops.outbox_attempts`
    }))
})

layer(
  services({ pollInterval: Duration.millis(50), publishTimeout: Duration.millis(200) }).pipe(
    Layer.provideMerge(FakePublisher.layer),
    Layer.provideMerge(TestDatabase.layer)
  ),
  { excludeTestServices: true }
)("a running processor whose destination does not answer", (it) => {
  it.effect("gives each call its time, also one that cannot be interrupted, and goes on with the others", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const fake = yield* FakePublisher
      const never = yield* Deferred.make<void>()
      const [stubborn = "", silent = "", first = "", behind = ""] = [
        ...(yield* emitDeals(2)),
        ...(yield* emitKeyed(["a", "a"]))
      ]
      fake.respond = ({ id }) =>
        id === stubborn ? Effect.uninterruptible(Deferred.await(never)) : id === behind ? Effect.void : Effect.never
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flatMap(OutboxProcessor, ({ start }) => start)
        yield* eventually(Effect.map(outcomes, (all) => all.length >= 3))
        const [other = ""] = yield* emitDeals(1)
        fake.respond = ({ id }) => id === other ? Effect.void : Effect.never
        yield* eventually(Effect.map(entry(other), ({ status }) => status === "delivered"))
        // What ends after its time is heard of no more.
        yield* Deferred.succeed(never, void 0)
      }))
      assert.deepStrictEqual(yield* outcomes, Arr.replicate("timed_out", 3))
      for (const id of [stubborn, silent, first]) {
        assert.deepInclude(yield* entry(id), { status: "pending", attempts: 1 })
        assert.include((yield* entry(id)).error_message, "no answer")
      }
      // It was never called: the one in front of it has to come first.
      assert.deepInclude(yield* entry(behind), { status: "pending", attempts: 0 })
      assert.notInclude(fake.calls.map(({ id }) => id), behind)
    }))
})
