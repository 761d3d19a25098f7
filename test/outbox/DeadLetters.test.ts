/** Looking at dead letters, redriving and discarding them: whom it meets, what it leaves behind, and what the audit says. */
import { assert, layer } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { Permanent } from "@zakops/events/EventPublisher"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import {
  DeadLetters,
  EntryHistory,
  Outbox,
  OutboxOverview,
  OutboxProcessor,
  TransactionalPublisher
} from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { auditRows, putEntries, rowStates } from "../support/deadLetters.ts"
import type { DeadRow } from "../support/deadLetters.ts"
import { DealMade } from "../support/events.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, entry, eventually, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.mergeAll(DeadLetters.layer, EntryHistory.layer, OutboxOverview.layer).pipe(
  Layer.provideMerge(services({ maxAttempts: 1 })),
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer)
)

const by = "the test"

const start = Effect.gen(function*() {
  yield* emptyTables
  const fake = yield* FakePublisher
  fake.calls.length = 0
  fake.respond = () => Effect.void
  const put = Effect.fnUntraced(function*(rows: ReadonlyArray<DeadRow>) {
    return yield* putEntries(yield* Clock.currentTimeMillis, rows)
  })
  return { fake, put, dead: yield* DeadLetters, ...(yield* OutboxProcessor) }
})

/** Outside of the transaction that is open. */
const onItsOwn = <A, E, R>(sql: SqlClient, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateContext(
    self,
    (context: Context.Context<R>) => Context.omit(sql.transactionService)(context) as Context.Context<R>
  )

/** The service over a client of its own, whose settings a test may change. */
const onOneConnection = Effect.map(
  Layer.build(
    Layer.fresh(DeadLetters.layer).pipe(
      Layer.provideMerge(Layer.fresh(TestDatabase.layerClient({ maxConnections: 1 })))
    )
  ),
  (context) => ({ dead: Context.get(context, DeadLetters), sql: Context.get(context, SqlClient) })
)

layer(Live.pipe(Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))))("dead letters", (it) => {
  it.effect("are found by id, type, error, key and age, in pages, latest written first", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      const day = 86_400
      const [a = "", b = "", c = "", d = ""] = yield* put([
        { ago: 10 * day, error: "refused: 100% of it_" },
        { ago: 2 * day, type: "deal.lost", error: "down" },
        { ago: 60, key: "k", blocks: true },
        { ago: 0, key: "k", blocks: false, type: "deal.lost" }
      ])
      yield* put([{ status: "pending" }])
      const found = (filter: Parameters<typeof dead.list>[0]) =>
        Effect.map(dead.list(filter), ({ entries }) => entries.map(({ id }) => id))
      assert.deepStrictEqual(yield* found({}), [d, c, b, a])
      assert.deepStrictEqual(yield* found({ ids: [a, c, randomUUID()] }), [c, a])
      assert.deepStrictEqual(yield* found({ ids: [] }), [])
      assert.deepStrictEqual(yield* found({ type: "deal.lost" }), [d, b])
      assert.deepStrictEqual(yield* found({ error: "0% of it_" }), [a], "no wildcards")
      assert.deepStrictEqual(yield* found({ key: "k", type: "deal.made" }), [c])
      assert.deepStrictEqual(yield* found({ olderThan: "2 days" }), [b, a])
      assert.deepStrictEqual(yield* found({ newerThan: "2 days" }), [d, c])
      assert.deepStrictEqual(yield* found({ olderThan: "1 minute", newerThan: "3 days" }), [c, b])

      const first = yield* dead.list({}, { limit: 3 })
      assert.lengthOf(first.entries, 3)
      const second = yield* dead.list({}, { limit: 3, after: first.next ?? "" })
      assert.deepStrictEqual(second.entries.map(({ id }) => id), [a])
      assert.isNull(second.next)
      assert.isNull((yield* dead.list({}, { limit: 4 })).next)
      assert.deepInclude(second.entries[0], {
        eventType: "deal.made",
        attempts: 5,
        maxAttempts: 5,
        redrives: 0,
        blocks: false,
        orderingKey: null,
        error: "refused: 100% of it_"
      })
      assert.strictEqual(yield* dead.count(), 4)
      assert.strictEqual(yield* dead.count({ key: "k" }), 2)
    }))

  it.effect("are counted by type, by key, by age, and by error whatever numbers and ids that names", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      yield* put([
        { error: `event ${randomUUID()} is version 3`, key: "k" },
        { error: `event ${randomUUID()} is version 14`, ago: 7200 },
        { error: "refused", type: "deal.lost", ago: 40 * 86_400 }
      ])
      const groups = (by: Parameters<typeof dead.groups>[0]) =>
        Effect.map(dead.groups(by), (all) => all.map(({ count, group }) => [group, count]))
      assert.deepStrictEqual(yield* groups("type"), [["deal.made", 2], ["deal.lost", 1]])
      assert.deepStrictEqual(yield* groups("error"), [["event <id> is version <n>", 2], ["refused", 1]])
      assert.deepStrictEqual(yield* groups("key"), [[null, 2], ["k", 1]])
      assert.deepStrictEqual(yield* groups("age"), [
        ["less than an hour", 1],
        ["an hour to a day", 1],
        ["more than 30 days", 1]
      ])
      const [lost] = yield* dead.groups("type", { type: "deal.lost" })
      assert.strictEqual(lost?.oldest?.getTime(), (yield* Clock.currentTimeMillis) - 40 * 86_400_000)
    }))

  it.effect("refuse to be changed without a condition, and by values that cannot be meant", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      yield* put([{}, {}])
      for (const filter of [{}, { type: undefined }, { error: "" }]) {
        assert.strictEqual((yield* Effect.flip(dead.redrive(filter, { by })))._tag, "EmptyFilter")
        assert.strictEqual((yield* Effect.flip(dead.discard(filter, { by })))._tag, "EmptyFilter")
        assert.strictEqual((yield* Effect.flip(dead.dryRun(filter, [DealMade])))._tag, "EmptyFilter")
      }
      const refused: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        dead.redrive({ ids: ["7"] }, { by }),
        dead.redrive({ type: "a\u0000" }, { by }),
        dead.redrive("all", { by: " " }),
        dead.redrive("all", { by, rate: 0 }),
        dead.redrive("all", { by, rate: NaN }),
        dead.discard({ olderThan: -1 }, { by }),
        dead.count({ newerThan: Infinity }),
        dead.list({}, { limit: 0 }),
        dead.list({}, { after: "x" }),
        dead.inspect("7")
      ]
      for (const one of refused) assert.strictEqual((yield* Effect.flip(one))._tag, "InvalidRequest")
      assert.strictEqual(yield* dead.count(), 2)
      assert.lengthOf(yield* auditRows, 0)
    }))

  it.effect("are redriven in place: id, settings and history stay, and all attempts are given again", () =>
    Effect.gen(function*() {
      const { dead, fake, put, runOnce } = yield* start
      const sql = yield* SqlClient
      const [id = "", other = ""] = yield* put([{}, { type: "deal.lost" }])
      const now = new Date(yield* Clock.currentTimeMillis)
      yield* sql`UPDATE zakops.outbox SET max_attempts = 9, retry_waits = '{7,8}', crashes = 2, headers = '{"a": "b"}',
        expires_at = ${new Date(now.getTime() - 1)} WHERE id = ${id}::uuid`
      yield* sql`UPDATE zakops.outbox SET expires_at = ${new Date(now.getTime() + 60_000)} WHERE id = ${other}::uuid`
      assert.strictEqual(yield* dead.redrive("all", { by }), 2)
      const [row] =
        yield* sql`SELECT status, attempts, redrives, crashes, max_attempts, retry_waits, headers, error_message, died_at,
        expires_at, next_attempt_at FROM zakops.outbox WHERE id = ${id}::uuid`
      assert.deepStrictEqual(row, {
        status: "pending",
        attempts: 0,
        redrives: 1,
        crashes: 0,
        max_attempts: 9,
        retry_waits: [7, 8],
        headers: { a: "b" },
        error_message: "refused",
        died_at: null,
        expires_at: null,
        next_attempt_at: now
      })
      const [kept] = yield* sql`SELECT expires_at FROM zakops.outbox WHERE id = ${other}::uuid`
      assert.isNotNull(kept?.["expires_at"], "a deadline that is still ahead stands")
      assert.deepStrictEqual(yield* auditRows, [{ by, action: "redrive", filter: { all: true }, count: 2 }])
      assert.strictEqual((yield* runOnce).delivered, 2)
      assert.deepStrictEqual(fake.calls.map((call) => call.id), [id, other])
      assert.strictEqual(yield* dead.redrive({ ids: [id] }, { by }), 0, "what was delivered is dead no more")
    }))

  it.effect("are redriven at a rate: so many become due in a second, in the order of writing", () =>
    Effect.gen(function*() {
      const { dead, put, runOnce } = yield* start
      yield* put(Array.from({ length: 10 }, () => ({})))
      yield* TestClock.adjust(Duration.seconds(100))
      const now = yield* Clock.currentTimeMillis
      assert.strictEqual(yield* dead.redrive({ type: "deal.made" }, { by, rate: 4 }), 10)
      assert.deepStrictEqual((yield* rowStates).map(({ due }) => (due ?? 0) - now), [
        0,
        250,
        500,
        750,
        1000,
        1250,
        1500,
        1750,
        2000,
        2250
      ])
      assert.strictEqual((yield* runOnce).delivered, 1)
      yield* TestClock.adjust(Duration.seconds(1))
      assert.strictEqual((yield* runOnce).delivered, 4)
      assert.deepStrictEqual((yield* auditRows)[0]?.filter, { type: "deal.made", rate: 4 })
    }))

  it.effect("are met once by a redrive, also where they die again at once", () =>
    Effect.gen(function*() {
      const { dead, fake, put, runOnce } = yield* start
      yield* put([{}, {}, { key: "k" }])
      fake.respond = () => Effect.fail(new Permanent({ reason: "still refused" }))
      assert.strictEqual(yield* dead.redrive("all", { by }), 3)
      yield* runOnce
      assert.isAbove(yield* dead.count({ error: "still refused" }), 1)
      assert.deepStrictEqual((yield* rowStates).map(({ redrives }) => redrives), [1, 1, 1])
    }))

  it.effect("that hold up their key are delivered first when they are redriven, and then those behind them", () =>
    Effect.gen(function*() {
      const { dead, drain, fake } = yield* start
      const ids = yield* emitDeals(3, { orderingKey: "k" })
      fake.respond = () => Effect.fail(new Permanent({ reason: "refused" }))
      yield* drain
      assert.deepStrictEqual((yield* dead.list({ key: "k" })).entries.map(({ blocks, id }) => [id, blocks]), [[
        ids[0],
        true
      ]])
      const history = Option.getOrThrow(yield* dead.inspect(ids[0] ?? "")).history
      assert.deepStrictEqual(history.map(({ error, outcome }) => [outcome, error]), [["failed", "refused"]])
      fake.respond = () => Effect.void
      fake.calls.length = 0
      assert.strictEqual(yield* dead.redrive({ key: "k" }, { by }), 1)
      yield* drain
      assert.deepStrictEqual(fake.calls.map(({ id }) => id), [...ids])
    }))

  it.effect("that hold up their key keep their place, those that it has gone on without go to its end", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      const [skipped1 = "", head = "", behind = "", skipped2 = "", waiting = "", unkeyed = ""] = yield* put([
        { key: "skips", blocks: false },
        { key: "blocked", blocks: true },
        { key: "blocked", status: "pending", waitsFor: "key" },
        { key: "skips", blocks: false },
        { key: "skips", status: "pending" },
        {}
      ])
      assert.strictEqual(yield* dead.redrive("all", { by, rate: 1 }), 4)
      const rows = yield* rowStates
      assert.deepStrictEqual(rows.map(({ id }) => id), [head, behind, waiting, unkeyed, skipped1, skipped2])
      assert.deepStrictEqual(rows.map(({ waits_for }) => waits_for), [null, "key", null, null, null, null])
      assert.isTrue(rows.every(({ blocks, status }) => !blocks && status === "pending"))
    }))

  it.effect("of one key keep their order at the end of it, however many they are and whatever the plan", () =>
    Effect.scoped(Effect.gen(function*() {
      const { put } = yield* start
      const ids = yield* put(Array.from({ length: 150 }, (_, n) => ({ key: `k${n % 3}`, blocks: false })))
      const { dead, sql } = yield* onOneConnection
      // Has the rows met in the order of their ids, which are random.
      yield* sql`SET enable_hashjoin = off`
      yield* sql`SET enable_nestloop = off`
      assert.strictEqual(yield* dead.redrive({ newerThan: "1 day" }, { by }), 150)
      const after = (yield* rowStates).map(({ id }) => id)
      for (const k of [0, 1, 2]) {
        const ofKey = ids.filter((_, n) => n % 3 === k)
        assert.deepStrictEqual(after.filter((id) => ofKey.some((one) => one === id)), ofKey)
      }
    })))

  it.effect("that are discarded are dead letters no more, and their key goes on", () =>
    Effect.gen(function*() {
      const { dead, put, runOnce } = yield* start
      const { dead: latest, overview } = yield* OutboxOverview
      const [head = "", behind = "", other = ""] = yield* put([
        { key: "k", blocks: true, error: "no use" },
        { key: "k", status: "pending", waitsFor: "key" },
        { error: "down" }
      ])
      assert.strictEqual(yield* dead.discard({ error: "no use" }, { by }), 1)
      assert.deepInclude((yield* rowStates)[0], { status: "dead", discarded: true, blocks: false, attempts: 5 })
      assert.isNull((yield* rowStates).find(({ id }) => id === behind)?.waits_for)
      assert.deepStrictEqual((yield* dead.list()).entries.map(({ id }) => id), [other])
      assert.strictEqual((yield* overview).dead, 1)
      assert.deepStrictEqual((yield* latest(10)).map(({ id }) => id), [other])
      assert.strictEqual(yield* dead.discard({ ids: [head] }, { by }), 0)
      assert.strictEqual(yield* dead.redrive({ ids: [head] }, { by }), 0, "for good")
      yield* runOnce
      assert.strictEqual((yield* entry(head)).status, "dead")
      const [audit] = yield* auditRows
      assert.deepStrictEqual(audit, { by, action: "discard", filter: { error: "no use" }, count: 1 })
    }))

  it.effect("are inspected with event, settings and the history of their attempts, oldest first", () =>
    Effect.gen(function*() {
      const { dead } = yield* start
      const sql = yield* SqlClient
      const [id = ""] = yield* emitDeals(1, { headers: { tenant: "t1" }, orderingKey: "k", title: "one" })
      yield* sql`UPDATE zakops.outbox SET retry_waits = '{1000,5000}' WHERE id = ${id}::uuid`
      const at = new Date(1000)
      yield* sql`INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, worker, started_at, ended_at, outcome, error)
        VALUES (${id}, 1, 'somewhere', 'w1', ${at}, ${at}, 'timed_out', 'no answer'),
          (${id}, 2, 'somewhere', NULL, NULL, ${at}, 'lease_expired', NULL)`
      const found = Option.getOrThrow(yield* dead.inspect(id))
      assert.deepInclude(found, { id, status: "pending", attempts: 0, redrives: 0, crashes: 0, diedAt: null })
      assert.deepInclude(Result.getOrThrow(found.envelope), { headers: { tenant: "t1" }, eventType: "deal.made" })
      assert.deepStrictEqual(found.settings, {
        maxAttempts: 1,
        retryWaits: [1000, 5000],
        orderingKey: "k",
        onDead: "block",
        expiresAt: null
      })
      assert.deepStrictEqual(found.history.map(({ attempt, outcome, worker }) => [attempt, outcome, worker]), [
        [1, "timed_out", "w1"],
        [2, "lease_expired", null]
      ])
      const { attempts } = yield* EntryHistory
      assert.deepStrictEqual(yield* attempts(id), found.history)
      assert.isTrue(Option.isNone(yield* dead.inspect(randomUUID())))
      yield* sql`INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, ended_at, outcome)
        VALUES (${id}, 3, 'somewhere', ${at}, 'vanished')`
      assert.strictEqual((yield* Effect.flip(dead.inspect(id)))._tag, "UnreadableHistory")
    }))

  it.effect("are tried out against the definitions of this build, and left as they are", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      const Priced = EventDefinition.make("deal.priced", {
        version: 2,
        payload: Schema.Struct({ amount: Schema.Int }),
        upcasters: { 1: () => ({ amount: 1 }) }
      })
      const ids = yield* put([
        ...Array.from({ length: 120 }, () => ({})),
        { type: "deal.priced", data: "old" },
        { type: "deal.priced", version: 3 },
        { data: { dealId: 1 } },
        { type: "deal.gone" }
      ])
      const before = yield* rowStates
      const found = yield* dead.dryRun("all", [DealMade, Priced])
      assert.deepInclude(found, { matching: 124, ready: 121 })
      const [newer, undecodable, unknown] = [found.newer, found.undecodable, found.unknownType]
      assert.deepStrictEqual([newer, undecodable, unknown].map(({ count }) => count), [1, 1, 1])
      assert.strictEqual(newer.first[0]?.id, ids[121])
      assert.match(newer.first[0]?.reason ?? "", /is version 3 of deal\.priced; this build knows versions up to 2/)
      assert.strictEqual(undecodable.first[0]?.id, ids[122])
      assert.match(undecodable.first[0]?.reason ?? "", /cannot be decoded/)
      assert.strictEqual(unknown.first[0]?.id, ids[123])
      assert.strictEqual((yield* dead.dryRun({ type: "deal.gone" }, [Priced])).matching, 1)
      assert.deepStrictEqual(yield* rowStates, before)
      assert.lengthOf(yield* auditRows, 0)
    }))
})

layer(Live, { excludeTestServices: true })("dead letters, with others at it", (it) => {
  it.effect("are redriven once by two operators who ask for the same at the same time", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      yield* put(Array.from({ length: 2500 }, (_, n) => (n % 5 === 0 ? { key: `k${n % 7}`, blocks: false } : {})))
      const counts = yield* Effect.forEach(
        ["Jane", "John"],
        (by) => dead.redrive({ type: "deal.made" }, { by }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual((counts[0] ?? 0) + (counts[1] ?? 0), 2500)
      assert.isTrue((yield* rowStates).every(({ redrives, status }) => status === "pending" && redrives === 1))
      const audit = yield* auditRows
      assert.deepStrictEqual(
        audit.map(({ by, count }) => [by, count]).toSorted(),
        [["Jane", counts[0]], ["John", counts[1]]]
      )
    }))

  it.effect("are either redriven or discarded, where both are asked for at the same time", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      yield* put(Array.from({ length: 3000 }, () => ({})))
      const [redriven, discarded] = yield* Effect.all(
        [dead.redrive("all", { by }), dead.discard("all", { by })],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(redriven + discarded, 3000)
      const rows = yield* rowStates
      assert.lengthOf(rows.filter(({ status }) => status === "pending"), redriven)
      assert.lengthOf(rows.filter(({ discarded }) => discarded), discarded)
    }))

  it.effect("are delivered once each where processors run while they are redriven", () =>
    Effect.scoped(Effect.gen(function*() {
      const { dead, drain, fake, put } = yield* start
      const ids = yield* put(Array.from({ length: 2500 }, () => ({})))
      const [redriven] = yield* Effect.all([
        dead.redrive("all", { by }),
        Effect.forEach([1, 2], () => Effect.repeat(drain, { times: 20 }), { concurrency: 2, discard: true })
      ], { concurrency: "unbounded" })
      yield* drain
      assert.strictEqual(redriven, 2500)
      assert.deepStrictEqual(fake.calls.map(({ id }) => id).toSorted(), ids.toSorted())
      assert.strictEqual(yield* dead.count(), 0)
      assert.deepStrictEqual((yield* auditRows).map(({ count }) => count), [2500])
    })))

  it.effect("never have a writer fail who holds one of their keys and wants another", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      const sql = yield* SqlClient
      const outbox = yield* Outbox
      const { transact } = yield* TransactionalPublisher
      // The order in which a redrive locks keys.
      const keys = yield* sql<{ key: string }>`
        SELECT key FROM unnest('{a,b}'::text[]) AS key ORDER BY hashtext(key) & 4095`
      const [first = "", second = ""] = keys.map(({ key }) => key)
      const skipped = yield* put([{ key: first, blocks: false }, { key: second, blocks: false }])
      const event = yield* DealMade.make({ dealId: randomUUID(), title: "a deal" })
      const emit = (orderingKey: string) => outbox.emit(event, { correlationId: randomUUID(), orderingKey })
      const redriving = yield* transact(Effect.gen(function*() {
        yield* emit(second)
        const redriving = yield* Effect.forkDetach(onItsOwn(sql, dead.redrive({ ids: skipped }, { by })))
        yield* eventually(onItsOwn(
          sql,
          Effect.map(
            sql`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
            (rows) => rows.length > 0
          )
        ))
        // Longer than deadlock_timeout: Postgres looks once in each wait, and would now look in the writer's.
        yield* moment(1200)
        yield* emit(first)
        return redriving
      }))
      assert.strictEqual(yield* Fiber.join(redriving), 2)
      assert.deepStrictEqual((yield* rowStates).slice(2).map(({ id }) => id).toSorted(), skipped.toSorted())
    }))

  it.effect("are audited as far as it came, where the database fails in the middle", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      const sql = yield* SqlClient
      yield* put(Array.from({ length: 2500 }, (_, n) => (n === 1700 ? { error: "the one" } : {})))
      yield* sql`ALTER TABLE zakops.outbox ADD CONSTRAINT not_the_one CHECK (error_message <> 'the one' OR status = 'dead')`
      const stopped = yield* Effect.flip(dead.redrive("all", { by })).pipe(
        Effect.ensuring(Effect.orDie(sql`ALTER TABLE zakops.outbox DROP CONSTRAINT not_the_one`))
      )
      assert.deepInclude({ ...stopped }, { _tag: "StoppedMidway", count: 1000 })
      assert.match(stopped.message, /^redrive stopped after 1000 entries, .*not_the_one/)
      assert.strictEqual(yield* dead.count(), 1500)
      assert.deepStrictEqual((yield* auditRows).map(({ count }) => count), [1000])
      assert.strictEqual(yield* dead.redrive("all", { by }), 1500, "and go on from there")
    }))

  it.effect("are changed along with the caller's transaction, or not at all", () =>
    Effect.gen(function*() {
      const { dead, put } = yield* start
      const sql = yield* SqlClient
      yield* put([{}, {}])
      yield* Effect.flip(sql.withTransaction(Effect.andThen(dead.redrive("all", { by }), Effect.fail("no"))))
      assert.strictEqual(yield* dead.count(), 2)
      assert.lengthOf(yield* auditRows, 0)
    }))

  it.effect("are found, redriven and discarded without reading the table, however much is delivered", () =>
    Effect.scoped(Effect.gen(function*() {
      const { put } = yield* start
      // Each connection reports what it has scanned for itself.
      const { dead, sql } = yield* onOneConnection
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, status, delivered_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{}', 'delivered', now() FROM generate_series(1, 30000)`
      yield* put(Array.from({ length: 300 }, (_, n) => ({ key: `k${n}`, blocks: n % 2 === 0 })))
      yield* sql`VACUUM ANALYZE zakops.outbox`
      const scans = Effect.gen(function*() {
        yield* sql`SELECT pg_stat_force_next_flush()`
        // The index of what is delivered would lead to every page as well.
        const [row] = yield* sql<{ scans: number }>`
          SELECT (seq_scan + (SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelid = 'zakops.outbox_delivered'::regclass))::float8
            AS scans FROM pg_stat_user_tables WHERE relid = 'zakops.outbox'::regclass`
        return row?.scans ?? NaN
      })
      const all = Effect.gen(function*() {
        yield* dead.list({ type: "deal.made" })
        yield* dead.count({ newerThan: "1 day" })
        yield* dead.groups("error")
        yield* dead.dryRun("all", [DealMade])
        yield* dead.redrive({ error: "refused", newerThan: "1 hour" }, { by })
        yield* dead.discard({ type: "deal.made" }, { by })
        return yield* Effect.fail("to be rolled back")
      })
      const before = yield* scans
      // Often enough for the plans of prepared statements to become generic.
      for (let n = 0; n < 8; n++) yield* Effect.flip(sql.withTransaction(all))
      assert.strictEqual((yield* scans) - before, 0)
      yield* sql`SELECT count(*) FROM zakops.outbox WHERE status = 'delivered'`
      assert.strictEqual((yield* scans) - before, 1, "a scan would have been seen")
    })))
})
