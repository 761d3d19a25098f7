/**
 * How the statements of delivery and maintenance find their entries in a large table: by the index that each names, never by reading the
 * table. So it stays flat, however much has been delivered; what that is worth, `bench scale` measures.
 */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import type { External } from "@zakops/events/EventPublisher"
import { Transient } from "@zakops/events/EventPublisher"
import * as Database from "@zakops/migrations/Database"
import { Maintenance, OutboxProcessor, Routes } from "@zakops/outbox"
import { claimEntries } from "@zakops/outbox/claiming/claimEntries"
import { dueEntries } from "@zakops/outbox/claiming/dueEntries"
import { dueSuspect } from "@zakops/outbox/claiming/dueSuspect"
import { nextDueTime } from "@zakops/outbox/claiming/nextDueTime"
import { renewLeases } from "@zakops/outbox/claiming/renewLeases"
import { beginning } from "@zakops/outbox/claiming/Selection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { FakePublisher } from "../support/FakePublisher.ts"
import type { Plan } from "../support/plans.ts"
import { plansOf } from "../support/plans.ts"
import { emitDeals, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const table = `"zakops"."outbox"`

/** Of every kind as many as it takes for the planner to weigh an index against the whole: most are delivered, as in any outbox. */
const fill = Effect.gen(function*() {
  const sql = yield* SqlClient
  const put = (count: number, columns: string, values: string) =>
    sql.unsafe(
      `INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, next_attempt_at, ${columns})
      SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{"dealId": "7", "title": "a deal"}', now(), now() - n * interval '1 ms',
        ${values} FROM generate_series(1, ${count}) AS n`
    )
  yield* put(70_000, "status, attempts, delivered_at", "'delivered', 1, now() - n * interval '1 minute'")
  yield* put(5000, "status, attempts, died_at", "'dead', 5, now() - n * interval '1 minute'")
  yield* put(1500, "status, attempts, discarded_at", "'dead', 5, now() - n * interval '5 minutes'")
  yield* put(10_000, "status", "'pending'")
  yield* put(10_000, "ordering_key", "'key ' || n % 400")
  yield* put(1000, "expires_at", "now() - interval '1 second' + n * interval '1 hour'")
  yield* put(5, "crashes", "2")
  yield* sql`VACUUM ANALYZE zakops.outbox`
  yield* sql`INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, ended_at, outcome)
    SELECT id, 1, 'there', now() - interval '1 day', 'failed' FROM zakops.outbox WHERE status = 'delivered' LIMIT 20000`
  yield* sql`ANALYZE zakops.outbox_attempts`
})

const Filled = Layer.effectDiscard(fill).pipe(Layer.provideMerge(TestDatabase.layer))

/** None of them reads a table from end to end, and some of those that `which` picks use the index. */
const assertPlans = (plans: ReadonlyArray<Plan>, expected: ReadonlyArray<readonly [which: RegExp, index: string]>) => {
  for (const { kind, scanned, text } of plans) assert.deepStrictEqual([...scanned], [], `${kind}: ${text}`)
  for (const kind of ["custom", "generic"] as const) {
    for (const [which, index] of expected) {
      const found = plans.filter((plan) => plan.kind === kind && which.test(plan.text))
      assert.isNotEmpty(found, `no statement matches ${which}`)
      assert.isTrue(
        found.some(({ indexes }) => indexes.includes(index)),
        `${kind}: ${which} uses ${found.flatMap(({ indexes }) => indexes).join()} and not ${index}`
      )
    }
  }
}

const ToFake = services({
  batchSize: 200,
  retentionDelivered: Duration.days(48),
  retentionDead: Duration.days(3)
}).pipe(Layer.provideMerge(FakePublisher.layer))

const ToLog = services({ batchSize: 200 }).pipe(Layer.provideMerge(EventLog.layerPublisher))

layer(Filled)("with 100,000 entries", (it) => {
  it.layer(ToFake)("an external delivery", (it) => {
    it.effect("claims by outbox_due and outbox_due_keyed, and settles by the primary key", () =>
      Effect.gen(function*() {
        const { runOnce } = yield* OutboxProcessor
        const plans = yield* plansOf(table, Effect.repeat(runOnce, { times: 3 }))
        assertPlans(plans, [
          [/SKIP LOCKED[^]*status = 'processing'/, "outbox_due"],
          [/SKIP LOCKED[^]*status = 'processing'/, "outbox_due_keyed"],
          [/SKIP LOCKED[^]*status = 'processing'/, "outbox_key"],
          [/SET status = 'delivered'/, "outbox_pkey"]
        ])
      }))

    it.effect("notes failures by the primary key", () =>
      Effect.gen(function*() {
        const fake = yield* FakePublisher
        const { runOnce } = yield* OutboxProcessor
        fake.respond = () => Effect.fail(new Transient({ reason: "not now" }))
        const plans = yield* plansOf(table, runOnce)
        assertPlans(plans, [[/INSERT INTO "zakops"."outbox_attempts"/, "outbox_pkey"]])
        fake.respond = () => Effect.void
      }))

    it.effect("finds what has passed its deadline, and what has to be delivered alone, by indexes of their own", () =>
      Effect.gen(function*() {
        const { runOnce } = yield* OutboxProcessor
        const db = yield* Database.make
        const alone = Effect.flatMap(
          dueSuspect(db, "there", null),
          (selection) => claimEntries(db, "a worker")(selection, randomUUID(), Duration.minutes(1))
        )
        assertPlans(yield* plansOf(table, Effect.andThen(runOnce, alone)), [
          [/expires_at <=/, "outbox_expiring"],
          [/crashes >= 2/, "outbox_suspects"]
        ])
      }))

    it.effect("renews leases by the primary key, and asks outbox_due when to look again", () =>
      Effect.gen(function*() {
        const db = yield* Database.make
        const time = yield* db.now
        const some = { limit: 200, meet: 200, run: 200, depth: 1, after: beginning, bytes: null }
        const selection = dueEntries(db, {
          ...some,
          time,
          destination: "there",
          route: null,
          limited: [],
          suspectsApart: true
        })
        const lease = Duration.minutes(1)
        const { entries } = yield* claimEntries(db, "a worker")(selection, randomUUID(), lease)
        assert.lengthOf(entries, 200)
        const looking = Effect.andThen(renewLeases(db)(entries, lease), nextDueTime(db, null)(0))
        assertPlans(yield* plansOf(table, looking), [
          [/SET lease_until =/, "outbox_pkey"],
          [/extract\(epoch FROM least/, "outbox_due"],
          [/extract\(epoch FROM least/, "outbox_due_keyed"],
          [/extract\(epoch FROM least/, "outbox_expiring"]
        ])
      }))

    // Of each kind less than a batch is old: after a whole one it would sleep for a moment.
    it.effect("is tidied by outbox_delivered, outbox_died and outbox_discarded, and walks its keys by outbox_key", () =>
      Effect.gen(function*() {
        const { runOnce } = yield* Maintenance
        assertPlans(yield* plansOf(table, runOnce), [
          [/DELETE FROM[^]*delivered_at </, "outbox_delivered"],
          [/DELETE FROM[^]*died_at/, "outbox_died"],
          [/DELETE FROM[^]*discarded_at/, "outbox_discarded"],
          [/RECURSIVE/, "outbox_key"]
        ])
      }))
  })

  it.layer(ToFake)("an emission with a deduplication key", (it) => {
    it.effect("looks for who holds the key by its primary key", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* sql`INSERT INTO zakops.dedupe_keys (event_type, dedupe_key, entry_id, until)
          SELECT 'deal.made', 'key ' || n, gen_random_uuid(), now() + interval '1 hour' FROM generate_series(1, 100000) AS n`
        yield* sql`VACUUM ANALYZE zakops.dedupe_keys`
        const emitting = emitDeals(3, { dedupeKey: "key 7" })
        assertPlans(yield* plansOf(`"zakops"."dedupe_keys"`, emitting), [[/AS first/, "dedupe_keys_pkey"]])
      }))
  })

  it.layer(ToLog)("a delivery into the log", (it) => {
    it.effect("takes by outbox_due and outbox_due_keyed", () =>
      Effect.gen(function*() {
        const { runOnce } = yield* OutboxProcessor
        assertPlans(yield* plansOf(table, Effect.repeat(runOnce, { times: 3 })), [
          [/SET status = 'delivered'/, "outbox_due"],
          [/SET status = 'delivered'/, "outbox_due_keyed"]
        ])
      }))
  })
})

const Empty = Layer.effectDiscard(Effect.flatMap(SqlClient, (sql) => sql`ANALYZE zakops.outbox`)).pipe(
  Layer.provideMerge(TestDatabase.layer)
)

const taking = (destination: string): External => ({ _tag: "External", destination, publish: () => Effect.void })
const Routed = Layer.succeed(Routes, [
  { to: taking("by type"), types: ["deal.made"] },
  { to: taking("by predicate"), when: () => true }
])

// A prepared statement keeps the plan that was made in a quiet time, when the planner believed that next to nothing is due.
layer(Empty)("with a table that was empty when it was looked at", (it) => {
  const assertNoneRereads = <E, R>(self: Effect.Effect<unknown, E, R>) =>
    Effect.gen(function*() {
      // Its sessions have no others: with the few entries of a test in its sight, the planner may well read them again and again.
      const plans = (yield* plansOf(table, self)).filter(({ kind }) => kind === "generic")
      assert.isAbove(plans.length, 5)
      for (const { reread, text } of plans) assert.deepStrictEqual([...reread], [], text)
    })

  for (const [name, services] of [["an external destination", ToFake], ["the log", ToLog]] as const) {
    it.layer(services.pipe(Layer.provide(Routed)))(`a delivery to ${name} and to routes`, (it) => {
      it.effect("takes no longer for each entry where many have come together", () =>
        Effect.gen(function*() {
          const { runOnce } = yield* OutboxProcessor
          const maintenance = yield* Maintenance
          yield* assertNoneRereads(Effect.gen(function*() {
            yield* emitDeals(3, { orderingKey: "a" })
            yield* emitDeals(3)
            yield* runOnce
            yield* runOnce
            yield* maintenance.runOnce
          }))
        }))
    })
  }

  it.layer(ToFake)("a delivery that fails", (it) => {
    it.effect("takes no longer for each entry where many have come together", () =>
      Effect.gen(function*() {
        const fake = yield* FakePublisher
        const { runOnce } = yield* OutboxProcessor
        fake.respond = () => Effect.fail(new Transient({ reason: "not now" }))
        yield* assertNoneRereads(Effect.gen(function*() {
          yield* emitDeals(3, { orderingKey: "a" })
          yield* emitDeals(3)
          yield* runOnce
        }))
      }))
  })
})
