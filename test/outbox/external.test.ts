/** Delivery to an external publisher: claims, leases, the fence, and a destination that is down. On a virtual clock. */
import { assert, layer } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { PublishError } from "@zakops/events/EventPublisher"
import { Permanent, TransportDown } from "@zakops/events/EventPublisher"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import { Fact, leaseExpired } from "@zakops/outbox/EntryLifecycle"
import { HeldEntries } from "@zakops/outbox/delivering/HeldEntries"
import type { ClaimedEntry } from "@zakops/outbox/claiming/OutboxEntry"
import { renewLeases } from "@zakops/outbox/claiming/renewLeases"
import { settleAttempts } from "@zakops/outbox/delivering/settleAttempts"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { FakePublisher, startAfresh } from "../support/FakePublisher.ts"
import { claim, emitDeals, entries, entry, mainLane, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const lease = Duration.seconds(30)

const Live = services({ publishTimeout: Duration.hours(1) }).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

layer(Live)("an external destination", (it) => {
  it.effect("receives the whole envelope, with no transaction open and the entry claimed", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const sql = yield* SqlClient
      const seen: Array<unknown> = []
      fake.respond = ({ id }) =>
        Effect.gen(function*() {
          seen.push((yield* entry(id)).status)
          seen.push(
            ...(yield* sql`SELECT count(*)::int AS open FROM pg_stat_activity
            WHERE datname = current_database() AND state LIKE 'idle in transaction%'`)
          )
        }).pipe(Effect.provideService(SqlClient, sql), Effect.orDie)
      const [id = ""] = yield* emitDeals(1, { headers: { tenant: "t1" }, traceId: "0af7651916cd43dd8448eb211c80319c" })
      yield* runOnce
      assert.deepStrictEqual(seen, ["processing", { open: 0 }])
      const [call] = fake.calls
      assert.deepInclude(call, {
        id,
        aggregateType: "deal",
        eventType: "deal.made",
        schemaVersion: 1,
        traceId: "0af76519-16cd-43dd-8448-eb211c80319c",
        headers: { tenant: "t1" },
        createdAt: new Date(0),
        orderingKey: null,
        sequence: "1"
      })
      assert.strictEqual(call?.aggregateId, call?.correlationId)
      assert.deepInclude(yield* entry(id), { status: "delivered", attempts: 1, claim_id: null, error_message: null })
    }))

  it.effect("is served by several processors without doubling", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const ids = yield* emitDeals(900)
      yield* Effect.all(Arr.replicate(drain, 5), { concurrency: "unbounded" })
      assert.sameMembers(fake.calls.map(({ id }) => id), [...ids])
      assert.lengthOf(fake.calls, 900)
    }))

  it.effect("gets rows that a producer filled with NULL, and numbers their type and version", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const sql = yield* SqlClient
      const id = randomUUID()
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, schema_version, event_data, status, attempts,
          max_attempts, next_attempt_at, created_at, headers)
        VALUES (${id}, ${id}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`
      assert.strictEqual((yield* drain).delivered, 1)
      assert.deepInclude(fake.calls[0], {
        id,
        eventType: "",
        schemaVersion: 1,
        data: null,
        headers: {},
        createdAt: new Date(0),
        orderingKey: null
      })
    }))

  it.effect("is not asked for an entry whose data is too large to be fetched: dead at once, its neighbours delivered", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const sql = yield* SqlClient
      const large = randomUUID()
      // An insert of it would be refused.
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type) VALUES (${large}, ${large}, 'deal.made')`
      yield* sql`UPDATE zakops.outbox SET event_data = to_jsonb(repeat('x', 17000000)) WHERE id = ${large}::uuid`
      const ids = yield* emitDeals(3)
      assert.deepInclude(yield* drain, { delivered: 3, dead: 1 })
      assert.sameMembers(fake.calls.map(({ id }) => id), [...ids])
      assert.include((yield* entry(large)).error_message, "larger than 12 MiB")
    }))

  it.effect("takes over from a worker that vanished, after its lease and at the cost of one attempt", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const [id = ""] = yield* emitDeals(1)
      yield* claim(10, lease)

      yield* TestClock.adjust(lease)
      assert.deepInclude(yield* runOnce, { retried: 0, delivered: 0 })
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* runOnce, { retried: 1 })
      assert.deepInclude(yield* entry(id), { status: "pending", attempts: 1, error_message: leaseExpired })
      assert.lengthOf(fake.calls, 0)

      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* runOnce, { delivered: 1 })
      assert.deepInclude(yield* entry(id), { status: "delivered", attempts: 2 })
    }))

  it.effect("leaves an entry dead that took its worker along at every attempt", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const [id = ""] = yield* emitDeals(1, { maxAttempts: 2 })
      for (const wait of [0, 5]) {
        yield* TestClock.adjust(Duration.seconds(wait))
        assert.lengthOf(yield* claim(10, lease), 1)
        yield* TestClock.adjust("31 seconds")
        yield* runOnce
      }
      assert.deepInclude(yield* entry(id), { status: "dead", attempts: 2, error_message: leaseExpired })
      assert.lengthOf(fake.calls, 0)
    }))

  it.effect("fences a worker that was paused past its lease: what it settles late changes nothing", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const called = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      fake.respond = () => Effect.andThen(Deferred.succeed(called, void 0), Deferred.await(answer))
      const [id = ""] = yield* emitDeals(1)
      const paused = yield* Effect.forkChild(runOnce)
      yield* Deferred.await(called)

      yield* TestClock.adjust("31 seconds")
      assert.deepInclude(yield* runOnce, { retried: 1 })
      yield* Deferred.succeed(answer, void 0)
      assert.deepInclude(yield* Fiber.join(paused), { delivered: 0, fenced: 1 })
      assert.deepInclude(yield* entry(id), { status: "pending", attempts: 1 })
    }))

  it.effect("tells the two claims of a worker apart that has taken an entry over from itself", () =>
    Effect.gen(function*() {
      yield* startAfresh
      const sql = yield* SqlClient
      const db = yield* Database.make
      const [id = ""] = yield* emitDeals(1)
      const [first] = yield* claim(1, lease)
      yield* TestClock.adjust("31 seconds")
      const [second] = yield* claim(1, lease)
      if (first === undefined || second === undefined) return assert.fail("was not claimed twice")
      const renewed = yield* renewLeases(db)([first, second], lease)
      assert.deepStrictEqual(renewed.map(({ claimId }) => claimId), [second.claimId])

      const fail = (entry: ClaimedEntry, error: string) =>
        ({ fact: Fact.RetryScheduled({ wait: lease, error }), entry, heard: { _tag: "Nothing" } }) as const
      const counts = yield* settleAttempts(db, "anywhere", mainLane(), (statement) => statement)([
        { ...fail(first, "no answer"), outcome: "timed_out" },
        { ...fail(second, leaseExpired), outcome: "lease_expired" }
      ])
      assert.deepInclude(counts, { retried: 1, fenced: 1 })
      assert.deepInclude(yield* entry(id), { status: "pending", attempts: 1, error_message: leaseExpired })
      const history = yield* sql<{ outcome: string }>`SELECT outcome FROM zakops.outbox_attempts ORDER BY id`
      assert.sameMembers(history.map(({ outcome }) => outcome), ["fenced", "lease_expired"])
    }))

  it.effect("tells a claim that a crash of the server has forgotten from the next one of the same worker", () =>
    Effect.gen(function*() {
      yield* startAfresh
      const sql = yield* SqlClient
      const db = yield* Database.make
      const [id = ""] = yield* emitDeals(1)
      const claimAt = (time: string) =>
        Effect.gen(function*() {
          const [claimed] = yield* claim(1, lease)
          // Postgres counts microseconds, and this process does not.
          yield* sql`UPDATE zakops.outbox SET last_attempt_at = ${time}::timestamptz`
          const [row] = yield* sql<
            { startedAt: Date }
          >`SELECT last_attempt_at AS "startedAt" FROM zakops.outbox`
          return claimed === undefined ? undefined : { ...claimed, startedAt: row?.startedAt ?? null }
        })
      const forgotten = yield* claimAt("2030-01-01T00:00:00.123999Z")
      yield* sql`UPDATE zakops.outbox SET status = 'pending', attempts = 0, claim_id = NULL, claimed_by = NULL, lease_until = NULL`
      const next = yield* claimAt("2030-01-01T00:00:00.125999Z")
      if (forgotten === undefined || next === undefined) return assert.fail("was not claimed twice")
      assert.strictEqual(forgotten.attempts, next.attempts)
      const settle = settleAttempts(db, "anywhere", mainLane(), (statement) => statement)
      const deliver = (entry: ClaimedEntry) =>
        settle([{ fact: Fact.Delivered(), entry, heard: { _tag: "Nothing" }, outcome: undefined }])
      assert.deepInclude(yield* deliver(next), { delivered: 1, fenced: 0 })
      assert.deepInclude(yield* deliver(forgotten), { delivered: 0, fenced: 1 })
      // A statement whose answer was lost, tried again.
      assert.deepInclude(yield* deliver(next), { delivered: 1, fenced: 0 })
      const history = yield* sql`SELECT entry_id AS id, attempt, outcome FROM zakops.outbox_attempts`
      assert.deepStrictEqual(history, [{ id, attempt: 1, outcome: "fenced" }])
    }))

  it.effect("goes on holding what a worker has taken over from itself when the first attempt ends", () =>
    Effect.gen(function*() {
      yield* startAfresh
      yield* emitDeals(1)
      const [first] = yield* claim(1, lease)
      yield* TestClock.adjust("31 seconds")
      const [second] = yield* claim(1, lease)
      if (first === undefined || second === undefined) return assert.fail("was not claimed twice")
      const held = new HeldEntries(lease)
      const now = yield* Clock.currentTimeMillis
      held.add([first], now - 31_000)
      held.add([second], now)
      held.ended([{ entry: first }])
      assert.deepStrictEqual(held.unended.map(({ entry }) => entry), [second])
      held.settled([first])
      assert.deepStrictEqual(held.all, [second])
      assert.isTrue((yield* held.standing(second)).isHeld)
    }))

  it.effect("charges nobody while it is down", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      fake.respond = () => Effect.fail(new TransportDown({ reason: "connection refused" }))
      yield* emitDeals(3)
      assert.deepStrictEqual(yield* drain, { delivered: 0, retried: 0, dead: 0, handedBack: 3, parked: 0, fenced: 0 })
      assert.isTrue((yield* entries).every(({ attempts, claim_id, status }) =>
        status === "pending" && attempts === 0 && claim_id === null
      ))
    }))

  it.effect("parks what is newer than this build, uncharged, until a worker of a newer one takes it up", () =>
    Effect.gen(function*() {
      const { drain, fake, runOnce } = yield* startAfresh
      const decode = (definition: EventDefinition.AnyEventDefinition) => (envelope: EventEnvelope) =>
        Effect.asVoid(
          Effect.catchTag(definition.decode(envelope), "UndecodableEvent", ({ message }) =>
            new Permanent({ reason: message }))
        ) as Effect.Effect<void, PublishError>
      const Newer = EventDefinition.make("deal.made", {
        version: 2,
        payload: Schema.Struct({ dealId: Schema.String, title: Schema.String }),
        upcasters: { 1: (json) => json }
      })
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      const correlationId = randomUUID()
      const event = yield* Newer.make({ dealId: correlationId, title: "of tomorrow" })
      const id = yield* transact(outbox.emit(event, { correlationId, maxAttempts: 1 }))
      const [known = ""] = yield* emitDeals(1)

      fake.respond = decode(DealMade)
      assert.deepInclude(yield* drain, { delivered: 1, parked: 1, retried: 0, dead: 0 })
      assert.deepInclude(yield* entry(known), { status: "delivered" })
      const parked = yield* entry(id)
      assert.deepInclude(parked, { status: "pending", attempts: 0, claim_id: null })
      assert.include(parked.error_message, "this build knows versions up to 1")
      assert.deepInclude(yield* runOnce, { parked: 0 })
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* runOnce, { parked: 1 }, "an old worker hands it on")

      fake.respond = decode(Newer)
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* drain, { delivered: 1 })
      assert.deepInclude(yield* entry(id), { status: "delivered", attempts: 1 })
    }))
})
