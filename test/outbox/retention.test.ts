/** What is older than its age is deleted, by one process at a time, and in nobody's way. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import type { OutboxSettings } from "@zakops/outbox"
import { Maintenance, OutboxLive, OutboxProcessor } from "@zakops/outbox"
import { deletedRows } from "@zakops/outbox/Maintenance"
import * as Clock from "effect/Clock"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { emitDeals, emptyTables, entries, eventually, loggedIds, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const ages = {
  retentionDelivered: Duration.days(2),
  retentionAttempts: Duration.days(3),
  retentionDead: Duration.days(5),
  retentionInbox: Duration.days(40)
}

const OnVirtualTime = TestDatabase.layer.pipe(Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)))
const live = (settings: Partial<OutboxSettings>) =>
  services(settings).pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(OnVirtualTime))

/** Another process: its services, over connections of its own. */
const otherProcess = (settings: Partial<OutboxSettings>) =>
  Effect.map(
    Layer.build(
      Layer.fresh(services(settings)).pipe(
        Layer.provide(Layer.fresh(EventLog.layerPublisher)),
        Layer.provide(Layer.fresh(TestDatabase.layerClient({ maxConnections: 3 })))
      )
    ),
    (context) => ({
      maintenance: Context.get(context, Maintenance),
      processor: Context.get(context, OutboxProcessor)
    })
  )

/** Writes entries as they stand after a life of their own; `columns` are SQL, times are relative to the start of the virtual clock. */
const put = Effect.fnUntraced(function*(columns: Record<string, string>, count = 1) {
  const sql = yield* SqlClient
  const ids = Array.from({ length: count }, () => randomUUID())
  const names = Object.keys(columns)
  yield* sql.unsafe(
    `INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, ${names.join(", ")})
    SELECT id, id, 'deal.made', '{}', ${
      names.map((name) => columns[name]).join(", ")
    } FROM unnest($1::uuid[]) WITH ORDINALITY AS given (id, n)`,
    [ids]
  )
  return ids
})

const ago = (interval: string) => `'epoch'::timestamptz - interval '${interval}'`
const putOne = (columns: Record<string, string>) => Effect.map(put(columns), ([id = ""]) => id)
const delivered = (age: string) => ({ status: "'delivered'", delivered_at: ago(age) })
const dead = (age: string) => ({ status: "'dead'", died_at: ago(age) })

const idsIn = (table: string, column = "id") =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const rows = yield* sql.unsafe<{ id: string }>(`SELECT ${column} AS id FROM zakops.${table}`)
    return rows.map(({ id }) => id)
  })

const nothing = { delivered: 0, dead: 0, discarded: 0, inbox: 0, attempts: 0, dedupeKeys: 0, letForward: 0 }

/** Runs to the end; the pauses between batches are on the virtual clock. */
const run = Effect.gen(function*() {
  const { runOnce } = yield* Maintenance
  const running = yield* Effect.forkChild(runOnce)
  while (running.pollUnsafe() === undefined) {
    yield* TestClock.adjust("20 millis")
    yield* moment(1)
  }
  return Option.getOrThrow(yield* Fiber.join(running))
})

const putAttempt = Effect.fnUntraced(function*(entryId: string, age: string) {
  const sql = yield* SqlClient
  yield* sql.unsafe(
    `INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, ended_at, outcome)
    VALUES ($1::uuid, 1, 'somewhere', ${ago(age)}, 'failed')`,
    [entryId]
  )
})

const putHandled = Effect.fnUntraced(function*(eventId: string, age: string) {
  const sql = yield* SqlClient
  yield* sql.unsafe(
    `INSERT INTO zakops.inbox (id, event_id, consumer_id, processed_at)
    VALUES (gen_random_uuid(), $1::uuid, 'mailer', ${ago(age)})`,
    [eventId]
  )
})

const putDedupeKey = Effect.fnUntraced(function*(key: string, until: string) {
  const sql = yield* SqlClient
  yield* sql.unsafe(
    `INSERT INTO zakops.dedupe_keys VALUES ('deal.made', $1, gen_random_uuid(), 'epoch'::timestamptz + interval '${until}')`,
    [key]
  )
})

layer(live({}))("without ages", (it) => {
  it.effect("nothing is deleted but the deduplication keys whose window is over", () =>
    Effect.gen(function*() {
      const kept = [yield* putOne(delivered("100 years")), yield* putOne(dead("100 years"))]
      yield* putAttempt(kept[0] ?? "", "100 years")
      yield* putHandled(kept[0] ?? "", "100 years")
      yield* putDedupeKey("over", "0 s")
      yield* putDedupeKey("stands", "1 ms")
      const { runOnce } = yield* Maintenance
      assert.deepStrictEqual(yield* runOnce, Option.some({ ...nothing, dedupeKeys: 1 }))
      assert.sameMembers(yield* idsIn("outbox"), kept)
      assert.deepStrictEqual(yield* idsIn("dedupe_keys", "dedupe_key"), ["stands"])
    }))
})

layer(live(ages))("each age", (it) => {
  it.effect("counts for its own table: what is older goes, what is just as old stays", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const young = [yield* putOne(delivered("2 days")), yield* putOne(dead("5 days"))]
      yield* putOne(delivered("2 days 1 ms"))
      yield* putOne(dead("5 days 1 ms"))
      yield* putHandled(randomUUID(), "40 days")
      yield* putHandled(randomUUID(), "40 days 1 ms")
      yield* putAttempt(young[0] ?? "", "3 days")
      yield* putAttempt(young[0] ?? "", "3 days 1 ms")
      // Of no age: not delivered yet, however long ago they were made.
      const open = yield* putOne({ created_at: ago("100 days"), status: "'pending'" })

      const { runOnce } = yield* Maintenance
      const first = { ...nothing, delivered: 1, dead: 1, inbox: 1, attempts: 1 }
      assert.deepStrictEqual(yield* runOnce, Option.some(first))
      assert.sameMembers(yield* idsIn("outbox"), [...young, open])
      assert.deepStrictEqual(yield* runOnce, Option.some(nothing))

      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* runOnce, Option.some(first))
      assert.deepStrictEqual(yield* idsIn("outbox"), [open])
      assert.lengthOf(yield* idsIn("inbox"), 0)
      assert.lengthOf(yield* idsIn("outbox_attempts"), 0)
    }))

  it.effect("of a discarded entry counts from the time it was discarded", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const kept = yield* putOne({ ...dead("50 days"), discarded_at: ago("4 days") })
      yield* putOne({ ...dead("50 days"), discarded_at: ago("6 days") })
      assert.deepStrictEqual(yield* run, { ...nothing, discarded: 1 })
      assert.deepStrictEqual(yield* idsIn("outbox"), [kept])
    }))

  it.effect("of an entry that was finished without a date is that of its last attempt", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const kept = [
        yield* putOne({ status: "'dead'", last_attempt_at: ago("4 days") }),
        yield* putOne({ status: "'delivered'", created_at: ago("1 day") }),
        yield* putOne({ status: "'dead'" }),
        // Redriven by plain SQL, which left the old date of death, and dead again.
        yield* putOne({ ...dead("10 days"), last_attempt_at: ago("1 day") })
      ]
      yield* putOne({ status: "'dead'", last_attempt_at: ago("6 days"), created_at: ago("7 days") })
      yield* putOne({ status: "'delivered'", last_attempt_at: ago("3 days") })
      assert.deepStrictEqual(yield* run, { ...nothing, dead: 1, delivered: 1 })
      assert.sameMembers(yield* idsIn("outbox"), kept)
    }))

  it.effect("of attempts ends with their entry, and otherwise is their own", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const gone = [yield* putOne(delivered("9 days")), yield* putOne(dead("9 days"))]
      const open = yield* putOne({ status: "'pending'" })
      yield* Effect.forEach(gone, (id) => putAttempt(id, "1 day"))
      yield* putAttempt(open, "1 day")
      yield* putAttempt(open, "4 days")
      assert.deepStrictEqual(yield* run, { ...nothing, delivered: 1, dead: 1, attempts: 3 })
      assert.deepStrictEqual(yield* idsIn("outbox_attempts", "entry_id"), [open])
    }))

  it.effect("of inbox rows does not count while the event can be delivered again", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const kept = [
        yield* putOne({ status: "'pending'" }),
        yield* putOne({ status: "'processing'" }),
        yield* putOne(dead("1 day"))
      ]
      const gone = [
        yield* putOne(delivered("1 day")),
        yield* putOne({ ...dead("1 day"), discarded_at: ago("1 day") }),
        randomUUID()
      ]
      yield* Effect.forEach([...kept, ...gone], (id) => putHandled(id, "41 days"))
      assert.deepStrictEqual(yield* run, { ...nothing, inbox: 3 })
      assert.sameMembers(yield* idsIn("inbox", "event_id"), kept)
    }))

  it.effect("of a dead letter that blocks its key lets the key forward", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { drain } = yield* OutboxProcessor
      const keyed = (key: string) => ({ ordering_key: `'${key}'` })
      yield* putOne({ ...keyed("a"), ...dead("6 days"), blocks: "true" })
      const [second = "", third = ""] = yield* put({ ...keyed("a"), waits_for: "'key'" }, 2)
      yield* putOne({ ...keyed("b"), ...dead("4 days"), blocks: "true" })
      const blocked = yield* putOne({ ...keyed("b"), waits_for: "'key'" })
      assert.strictEqual((yield* drain).delivered, 0)
      assert.deepStrictEqual(yield* run, { ...nothing, dead: 1 })
      const sql = yield* SqlClient
      const waiting = sql<{ id: string }>`SELECT id FROM zakops.outbox WHERE waits_for = 'key'`
      assert.sameMembers((yield* waiting).map(({ id }) => id), [third, blocked])
      assert.notInclude((yield* waiting).map(({ id }) => id), second)
    }))
})

layer(live({ ...ages, maintenanceInterval: Duration.seconds(60) }))("maintenance", (it) => {
  it.effect("goes through many batches, and leaves word of what it did", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const counter = Metric.withAttributes(deletedRows, { table: "outbox" })
      const before = (yield* Metric.value(counter)).count
      // All at the same moment, as a large transaction leaves them, and one after another.
      yield* put(delivered("3 days"), 1500)
      yield* put({ status: "'delivered'", delivered_at: `${ago("4 days")} + n * interval '1 second'` }, 1100)
      const kept = yield* putOne(delivered("1 day"))
      assert.deepStrictEqual(yield* run, { ...nothing, delivered: 2600 })
      assert.deepStrictEqual(yield* idsIn("outbox"), [kept])
      const [task] = yield* sql`SELECT owner, lease_until, outcome FROM zakops.tasks WHERE name = 'maintenance'`
      assert.deepStrictEqual(task, { owner: null, lease_until: null, outcome: { ...nothing, delivered: 2600 } })
      assert.strictEqual(Number((yield* Metric.value(counter)).count) - Number(before), 2600)
    }))

  it.effect("lets keys forward that somebody's plain SQL has left waiting for nothing", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const [first = ""] = yield* put(
        { ordering_key: "'key ' || n / 2", waits_for: "nullif(mod(n, 2), 0) || 'key'" },
        2400
      )
      yield* sql`UPDATE zakops.outbox SET waits_for = CASE WHEN waits_for IS NOT NULL THEN 'key' END`
      // Of each pair the first is in order; 'key 0' has one only, which is set aside.
      yield* sql`UPDATE zakops.outbox SET waits_for = CASE WHEN mod(seq, 2) = 0 THEN 'key' END`
      yield* sql`UPDATE zakops.outbox o SET waits_for = 'key' WHERE EXISTS (
        SELECT FROM zakops.outbox b WHERE b.ordering_key = o.ordering_key AND b.seq < o.seq)`
      yield* sql`UPDATE zakops.outbox o SET waits_for = 'key' WHERE ordering_key IN ('key 3', 'key 700', 'key 1200')`
      const heads = sql<{ count: number }>`SELECT count(*)::int AS count FROM zakops.outbox o WHERE waits_for = 'key'
        AND NOT EXISTS (SELECT FROM zakops.outbox b WHERE b.ordering_key = o.ordering_key AND b.seq < o.seq)`
      const [stuck] = yield* heads
      assert.isAtLeast(stuck?.count ?? 0, 3)
      assert.deepStrictEqual(yield* run, { ...nothing, letForward: stuck?.count ?? 0 })
      assert.deepStrictEqual([...(yield* heads)], [{ count: 0 }])
      assert.deepStrictEqual(yield* run, nothing)
      assert.include(yield* idsIn("outbox"), first)
    }))

  it.effect("is done by one process, and again when the interval has passed, by whichever looks first", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const finished = Effect.map(
        sql<{ at: number }>`SELECT extract(epoch FROM finished_at)::float8 AS at FROM zakops.tasks WHERE owner IS NULL`,
        ([row]) => row?.at
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const begin = (yield* Clock.currentTimeMillis) / 1000
        const other = yield* otherProcess(ages)
        yield* other.maintenance.start
        yield* (yield* Maintenance).start
        yield* eventually(Effect.map(finished, (at) => at === begin))
        yield* putOne(delivered("3 days"))
        yield* TestClock.adjust("59 seconds")
        yield* moment(50)
        assert.lengthOf(yield* idsIn("outbox"), 1)
        // Again and again, since the next sleep may not have begun yet.
        yield* eventually(
          Effect.andThen(TestClock.adjust("1 second"), Effect.map(finished, (at = 0) => at >= begin + 60))
        )
        assert.lengthOf(yield* idsIn("outbox"), 0)
      }))
    }))

  it.effect("passes to another process when the one that did it stands still, which then deletes nothing more", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* put(delivered("3 days"), 2500)
      yield* Effect.scoped(Effect.gen(function*() {
        // Its own time stops in the pause after the first batch.
        const itsClock = yield* TestClock.make()
        yield* itsClock.setTime(yield* Clock.currentTimeMillis)
        const stopped = yield* otherProcess(ages)
        const running = yield* Effect.forkChild(
          Effect.provideService(stopped.maintenance.runOnce, Clock.Clock, itsClock)
        )
        yield* eventually(Effect.map(idsIn("outbox"), (ids) => ids.length === 1500))
        const { maintenance } = yield* otherProcess(ages)
        assert.deepStrictEqual(yield* maintenance.runOnce, Option.none())
        yield* maintenance.start
        yield* TestClock.adjust("9 seconds")
        yield* moment(50)
        assert.lengthOf(yield* idsIn("outbox"), 1500)
        yield* TestClock.adjust("1 second")
        const gone = Effect.map(idsIn("outbox"), (ids) => ids.length === 0)
        yield* eventually(Effect.andThen(TestClock.adjust("20 millis"), gone))

        const later = yield* putOne(delivered("3 days"))
        yield* itsClock.adjust("20 millis")
        assert.deepStrictEqual(yield* Fiber.join(running), Option.none())
        assert.deepStrictEqual(yield* idsIn("outbox"), [later])
      }))
    }))

  it.effect("passes to another process at once when it fails or is interrupted", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { maintenance } = yield* otherProcess(ages)
      const locked = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const locking = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* sql`LOCK TABLE zakops.dedupe_keys IN ACCESS EXCLUSIVE MODE`
        yield* Deferred.succeed(locked, void 0)
        yield* Deferred.await(ended)
      })))
      yield* Deferred.await(locked)
      const running = yield* Effect.forkChild(maintenance.runOnce)
      const pids = sql<{ pid: number }>`SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%dedupe_keys%' AND pid <> pg_backend_pid()`
      yield* eventually(Effect.map(pids, (rows) => rows.length === 1))
      const [waiting] = yield* pids
      yield* sql`SELECT pg_terminate_backend(${waiting?.pid ?? 0})`
      assert.strictEqual((yield* Effect.flip(Fiber.join(running)))._tag, "SqlError")
      yield* Deferred.succeed(ended, void 0)
      yield* Fiber.join(locking)
      assert.deepStrictEqual(yield* run, nothing)
    }))
})

layer(live(ages))("deletion and delivery", (it) => {
  it.effect("do not wait for each other's rows", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* TestDatabase.otherClient
      const { drain } = yield* OutboxProcessor
      const { runOnce } = yield* Maintenance
      const [held = ""] = yield* put(delivered("3 days"), 20)
      const [due = ""] = yield* emitDeals(10)
      const ended = yield* Deferred.make<void>()
      const locked = yield* Deferred.make<void>()
      const other = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT FROM zakops.outbox WHERE id IN (${held}::uuid, ${due}::uuid) FOR UPDATE`
        yield* Deferred.succeed(locked, void 0)
        yield* Deferred.await(ended)
      })))
      yield* Deferred.await(locked)
      assert.deepStrictEqual(yield* runOnce, Option.some({ ...nothing, delivered: 19 }))
      assert.strictEqual((yield* drain).delivered, 9)
      yield* Deferred.succeed(ended, void 0)
      yield* Fiber.join(other)
      assert.deepStrictEqual(yield* runOnce, Option.some({ ...nothing, delivered: 1 }))
      assert.strictEqual((yield* drain).delivered, 1)
    }))

  it.effect("do not wait for each other's transactions: a deletion that is not committed holds up no delivery", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* TestDatabase.otherClient
      const { drain } = yield* OutboxProcessor
      yield* put(delivered("3 days"), 20)
      yield* emitDeals(10)
      const ended = yield* Deferred.make<void>()
      const deleted = yield* Deferred.make<void>()
      const other = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* sql`DELETE FROM zakops.outbox WHERE status = 'delivered'`
        yield* Deferred.succeed(deleted, void 0)
        yield* Deferred.await(ended)
      })))
      yield* Deferred.await(deleted)
      yield* emitDeals(10)
      assert.strictEqual((yield* drain).delivered, 20)
      yield* Deferred.succeed(ended, void 0)
      yield* Fiber.join(other)
      assert.lengthOf(yield* entries, 20)
    }))
})

const Racing = services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer))

layer(Racing, { excludeTestServices: true })("deletion while everything runs", (it) => {
  it.effect("deadlocks with nobody, loses nothing, and leaves nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const settings = { retentionDelivered: Duration.millis(1), retentionDead: Duration.millis(1), batchSize: 50 }
      const [one, two] = [yield* otherProcess(settings), yield* otherProcess(settings)]
      const state = { emitting: true }
      const emitted: Array<string> = []
      const emit = Effect.gen(function*() {
        for (let n = 0; n < 40; n++) emitted.push(...(yield* emitDeals(25)))
      })
      const whileEmitting = <E>(self: Effect.Effect<unknown, E>) =>
        Effect.gen(function*() {
          while (state.emitting) yield* self
          yield* self
        })
      yield* Effect.all([
        Effect.ensuring(Effect.all([emit, emit], { concurrency: 2 }), Effect.sync(() => state.emitting = false)),
        whileEmitting(one.processor.drain),
        whileEmitting(two.processor.drain),
        whileEmitting(one.maintenance.runOnce),
        whileEmitting(two.maintenance.runOnce)
      ], { concurrency: "unbounded" })
      yield* one.processor.drain
      yield* moment(5)
      yield* two.maintenance.runOnce
      assert.lengthOf(yield* entries, 0)
      assert.lengthOf(emitted, 2000)
      assert.sameMembers(yield* loggedIds as Effect.Effect<Array<string>, never, SqlClient>, emitted)
    })))
})

layer(TestDatabase.layer)("the inbox's age", (it) => {
  const start = (env: Record<string, string>) =>
    Effect.scoped(Layer.build(
      Layer.fresh(OutboxLive).pipe(
        Layer.provide(EventLog.layerPublisher),
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
      )
    ))

  it.effect("is refused at start where an event may still come again", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(start({ OUTBOX_RETENTION_INBOX: "7" }))
      assert.strictEqual(error._tag, "InvalidSetting")
      assert.include(error.message, "OUTBOX_RETENTION_INBOX is \"7\": allowed is never, or at least 30.0158 days")
      yield* Effect.flip(start({ OUTBOX_RETENTION_INBOX: "30.0157", OUTBOX_PROCESSOR_ENABLED: "false" }))
      yield* start({ OUTBOX_RETENTION_INBOX: "31", OUTBOX_PROCESSOR_ENABLED: "false" })
    }))
})
