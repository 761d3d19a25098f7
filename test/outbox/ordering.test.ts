/** Order per key: one event after another whatever fails, and no key in the way of another. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { Permanent, Transient } from "@zakops/events/EventPublisher"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { OutboxProcessor } from "@zakops/outbox"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { emitKeyed, overtakings, stuckKeys } from "../support/keys.ts"
import { FakePublisher, startAfresh } from "../support/FakePublisher.ts"
import { claim, emptyTables, entry, eventually, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const OnVirtualTime = TestDatabase.layer.pipe(Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)))

/** What is not finished, with what it waits for, in the order of writing. */
const waiting = Effect.flatMap(
  SqlClient,
  (sql) =>
    sql<{ id: string; status: string; attempts: number; waits_for: string | null }>`
    SELECT id, status, attempts, waits_for FROM zakops.outbox WHERE NOT finished ORDER BY seq`
)

const External = services({ batchSize: 20 }).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(OnVirtualTime)
)

layer(External)("an external destination, by key", (it) => {
  it.effect("gets the events of a key one after another, those of other keys meanwhile", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const ids = yield* emitKeyed(["a", "b", "a", null, "b", "a"])
      let calling = 0
      let most = 0
      const open = new Map<string, number>()
      const keyOf = new Map(ids.map((id, index) => [id, ["a", "b", "a", null, "b", "a"][index] ?? id]))
      fake.respond = ({ id }) =>
        Effect.gen(function*() {
          const key = keyOf.get(id) ?? ""
          most = Math.max(most, ++calling)
          open.set(key, (open.get(key) ?? 0) + 1)
          assert.strictEqual(open.get(key), 1, "two of a key at the same time")
          yield* moment(5)
          open.set(key, 0)
          calling--
        })
      assert.deepInclude(yield* drain, { delivered: 6 })
      assert.deepStrictEqual(yield* overtakings(fake.calls.map(({ id }) => id)), [])
      assert.isAbove(most, 1)
    }))

  it.effect("waits with a key whose first event fails, and with no other", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const [a1 = "", b1 = "", a2 = "", b2 = "", free = ""] = yield* emitKeyed(["a", "b", "a", "b", null])
      fake.respond = ({ id }) => id === a1 ? Effect.fail(new Transient({ reason: "not now" })) : Effect.void
      assert.deepInclude(yield* drain, { delivered: 3, retried: 1 })
      assert.sameMembers(fake.calls.map(({ id }) => id), [a1, b1, b2, free])
      assert.deepInclude(yield* entry(a2), { status: "pending", attempts: 0 })

      fake.respond = () => Effect.void
      yield* TestClock.adjust("4999 millis")
      assert.deepInclude(yield* drain, { delivered: 0 })
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* drain, { delivered: 2 })
      assert.deepStrictEqual(fake.calls.slice(-2).map(({ id }) => id), [a1, a2])
    }))

  it.effect("stops a key at an event that is dead, or goes on without it where its definition says so", () =>
    Effect.gen(function*() {
      const { drain, fake } = yield* startAfresh
      const sql = yield* SqlClient
      const [a1 = "", b1 = "", a2 = "", b2 = ""] = yield* emitKeyed(["a", "b", "a", "b"])
      yield* sql`UPDATE zakops.outbox SET on_dead = 'skip' WHERE id = ${b1}::uuid`
      fake.respond = ({ id }) => [a1, b1].includes(id) ? Effect.fail(new Permanent({ reason: "never" })) : Effect.void
      assert.deepInclude(yield* drain, { delivered: 1, dead: 2 })
      assert.deepInclude(yield* entry(b2), { status: "delivered" })
      assert.deepInclude(yield* entry(a2), { status: "pending", attempts: 0 })
      yield* TestClock.adjust("1 day")
      assert.deepInclude(yield* drain, { delivered: 0 })
    }))

  it.effect("is not kept from other keys by a key with a long backlog whose first waits or blocks", () =>
    Effect.gen(function*() {
      const { drain, fake, runOnce } = yield* startAfresh
      const [hot = ""] = yield* emitKeyed(Arr.replicate("hot", 3000))
      const [dead = ""] = yield* emitKeyed(Arr.replicate("blocked", 3000))
      fake.respond = ({ id }) =>
        id === hot
          ? Effect.fail(new Transient({ reason: "not now" }))
          : id === dead
          ? Effect.fail(new Permanent({ reason: "never" }))
          : Effect.void
      yield* runOnce
      yield* runOnce
      const others = yield* emitKeyed(Arr.makeBy(40, (n) => `other ${n}`))
      // The backlogs of 6,000 are met in steps of 1,000 and then never again; batches are of 20.
      let rounds = 0
      while (!others.every((id) => fake.calls.some((call) => call.id === id))) {
        yield* runOnce
        assert.isBelow(++rounds, 12)
      }
      assert.deepInclude(yield* drain, { delivered: 0 })
      assert.deepStrictEqual((yield* waiting).filter(({ waits_for }) => waits_for === null).map(({ id }) => id), [hot])
      const later = yield* emitKeyed(["later"])
      assert.deepInclude(yield* runOnce, { delivered: 1 })
      assert.strictEqual(fake.calls.at(-1)?.id, later[0])
    }))

  it.effect("gives 100,000 keys their turns in the order of writing, behind a hot key whose first waits", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const sql = yield* SqlClient
      const hot = new Set(yield* emitKeyed(Arr.replicate("hot", 3000)))
      fake.respond = ({ id }) => hot.has(id) ? Effect.fail(new Transient({ reason: "not now" })) : Effect.void
      yield* sql`UPDATE zakops.outbox SET next_attempt_at = NULL`
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, ordering_key, next_attempt_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{}', 'key ' || n, NULL FROM generate_series(1, 100000) AS n`
      const others = () => fake.calls.filter(({ id }) => !hot.has(id)).map(({ id }) => id)
      // The backlog of 3,000 is met in steps of 1,000; batches are of 20.
      for (let round = 0; round < 12; round++) yield* runOnce
      const keys = yield* sql<{ key: string }>`
        SELECT ordering_key AS key FROM zakops.outbox WHERE id = ANY (${others()}::uuid[]) ORDER BY seq`
      assert.isAtLeast(keys.length, 100)
      assert.deepStrictEqual(keys.map(({ key }) => key), Arr.makeBy(keys.length, (n) => `key ${n + 1}`))
    }))

  it.effect("is claimed key by key where it is fast, and from all keys alike where it is slow", () =>
    Effect.gen(function*() {
      yield* startAfresh
      const keys = ["a", "b", "a", "b", "a", "b"]
      let ids = yield* emitKeyed(keys)
      const keysOf = (claimed: ReadonlyArray<{ readonly id: string }>) =>
        claimed.map(({ id }) => keys[ids.indexOf(id)]).toSorted()
      assert.deepStrictEqual(keysOf(yield* claim(4, Duration.seconds(30), undefined, "a worker", 3)), [
        "a",
        "a",
        "a",
        "b"
      ])
      yield* startAfresh
      ids = yield* emitKeyed(keys)
      assert.deepStrictEqual(keysOf(yield* claim(4, Duration.seconds(30), undefined, "a worker", 1)), [
        "a",
        "a",
        "b",
        "b"
      ])
    }))

  it.effect("hands a key over to another worker when the first is gone in the middle of a run", () =>
    Effect.gen(function*() {
      const { drain, fake, runOnce } = yield* startAfresh
      const ids = yield* emitKeyed(Arr.replicate("a", 5))
      assert.lengthOf(yield* claim(3, Duration.seconds(30)), 3)
      assert.deepInclude(yield* runOnce, { delivered: 0 })
      yield* TestClock.adjust("31 seconds")
      assert.deepInclude(yield* drain, { retried: 1, delivered: 0 })
      yield* TestClock.adjust("5 seconds")
      // The second and third went back uncharged with the first, behind which the one who is gone had held them.
      assert.deepInclude(yield* drain, { delivered: 5 })
      assert.deepStrictEqual(fake.calls.map(({ id }) => id), [...ids])
    }))

  const Step = Schema.Struct({
    action: Schema.Literals(["emit", "emit", "run", "run", "run", "crash"]),
    seconds: Schema.Literals([0, 0, 1, 5, 31, 300]),
    keys: Schema.Array(Schema.Literals(["a", "b", "c", "d"])).check(Schema.isMinLength(1), Schema.isMaxLength(8)),
    failing: Schema.Array(Schema.Boolean).check(Schema.isMinLength(7), Schema.isMaxLength(7))
  })

  it.effect.prop(
    "gets the successes of each key in the order of seq, whatever fails, crashes, retries and dies",
    { steps: Schema.Array(Step).check(Schema.isMinLength(6), Schema.isMaxLength(25)) },
    Effect.fnUntraced(function*({ steps }) {
      const { drain, fake, runOnce } = yield* startAfresh
      const successes: Array<string> = []
      let failing: ReadonlyArray<boolean> = []
      let calls = 0
      fake.respond = ({ id }) =>
        Effect.suspend(() => {
          if (failing[calls++ % 7] === true) return Effect.fail(new Transient({ reason: "not now" }))
          successes.push(id)
          return Effect.void
        })
      for (const step of steps) {
        yield* TestClock.adjust(Duration.seconds(step.seconds))
        failing = step.failing
        if (step.action === "emit") yield* emitKeyed(step.keys)
        else if (step.action === "crash") yield* claim(step.keys.length, Duration.seconds(30))
        else yield* Effect.all(Arr.replicate(runOnce, 3), { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* stuckKeys, [])
      }
      failing = []
      // As often as an entry may be tried.
      for (let round = 0; round < 40; round++) {
        const { dead, delivered, retried } = yield* drain
        yield* TestClock.adjust("16 minutes")
        if (round > 0 && dead + delivered + retried === 0) break
      }
      assert.deepStrictEqual(yield* overtakings(successes), [])
      assert.strictEqual(new Set(successes).size, successes.length)
      // What is left stands behind an entry that died of its crashes.
      const sql = yield* SqlClient
      assert.deepStrictEqual(
        yield* sql`SELECT id FROM zakops.outbox o WHERE NOT finished AND NOT EXISTS (
          SELECT FROM zakops.outbox d WHERE d.ordering_key = o.ordering_key AND d.blocks AND d.seq < o.seq)`,
        []
      )
    }),
    { arbitrary: { runs: 15 } }
  )
})

const IntoTheLog = services({ batchSize: 20 }).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(OnVirtualTime)
)

/** The log's ids in the order of delivery. */
const inTheLog = Effect.flatMap(SqlClient, (sql) =>
  Effect.map(
    sql<{ id: string }>`SELECT id FROM zakops.agent_events e ORDER BY e.xid, e.position`,
    (rows) => rows.map(({ id }) => id)
  ))

layer(IntoTheLog)("the log, by key", (it) => {
  it.effect("stops a key at an entry that it refuses, delivers the other keys, and goes on after the retry", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { drain } = yield* OutboxProcessor
      const ids = yield* emitKeyed(["a", "b", "a", "c", "b", "a", null, "c"])
      const bad = ids[2] ?? ""
      yield* sql`ALTER TABLE zakops.agent_events ADD CONSTRAINT not_this CHECK (id <> ${sql.literal(`'${bad}'`)})`
      assert.deepInclude(yield* drain, { delivered: 6, retried: 1 })
      assert.deepStrictEqual((yield* waiting).map(({ id }) => id), [bad, ids[5]])
      yield* sql`ALTER TABLE zakops.agent_events DROP CONSTRAINT not_this`
      assert.deepInclude(yield* drain, { delivered: 0 })
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* drain, { delivered: 2 })
      const order = yield* inTheLog
      assert.lengthOf(order, 8)
      assert.deepStrictEqual(yield* overtakings(order), [])
    }))
})

/** Real time, real sessions: four processors with a client each, and producers that commit while these deliver. */
const busy = { batchSize: 25, pollInterval: Duration.millis(200) }
const BusyLog = Layer.fresh(
  services(busy).pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layerClient()))
)
const BusyElsewhere = Layer.fresh(
  services(busy).pipe(Layer.provideMerge(FakePublisher.layer), Layer.provideMerge(TestDatabase.layerClient()))
)

layer(TestDatabase.layer, { excludeTestServices: true })("several processors while events are emitted", (it) => {
  const keys = ["a", "b", "c", "d", "e", "f", "g", "h"]

  const produce = (producer: number) =>
    Effect.forEach(
      Arr.range(1, 40),
      (n) => emitKeyed(Arr.makeBy(1 + n % 4, (i) => keys[(producer * 7 + n * 3 + i) % (n % 2 === 0 ? 2 : 8)] ?? "a")),
      { discard: true }
    )

  it.effect("bring each key into the log in its order", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* Effect.scoped(Effect.gen(function*() {
        for (let n = 0; n < 4; n++) {
          const context = yield* Layer.build(BusyLog)
          yield* Effect.provideContext(Effect.flatMap(OutboxProcessor, ({ start }) => start), context)
        }
        yield* Effect.forEach([1, 2, 3, 4], produce, { concurrency: "unbounded", discard: true }).pipe(
          Effect.provide(BusyLog)
        )
        yield* eventually(Effect.map(waiting, (rows) => rows.length === 0))
      }))
      const order = yield* inTheLog
      assert.lengthOf(order, 4 * (10 * (1 + 2 + 3 + 4)))
      assert.deepStrictEqual(yield* overtakings(order), [])
    }))

  it.effect("hand each key to an external destination in its order, with failures", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const successes: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        for (let n = 0; n < 4; n++) {
          const context = yield* Layer.build(BusyElsewhere)
          yield* Effect.provideContext(
            Effect.gen(function*() {
              const fake = yield* FakePublisher
              fake.respond = ({ id }) =>
                Effect.suspend(() => {
                  if (fake.calls.length % 13 === 0) {
                    return Effect.fail(new Transient({ reason: "not now", retryAfter: Duration.millis(30) }))
                  }
                  successes.push(id)
                  return Effect.void
                })
              const { start } = yield* OutboxProcessor
              yield* start
            }),
            context
          )
        }
        yield* Effect.forEach([1, 2, 3, 4], produce, { concurrency: "unbounded", discard: true }).pipe(
          Effect.provide(BusyElsewhere)
        )
        yield* eventually(Effect.map(waiting, (rows) => rows.length === 0))
      }))
      assert.lengthOf(successes, 400)
      assert.deepStrictEqual(yield* overtakings(successes), [])
      const [failed] = yield* sql<{ count: number }>`
        SELECT count(*)::int AS count FROM zakops.outbox_attempts WHERE outcome = 'failed' AND error = 'not now'`
      assert.isAbove(failed?.count ?? 0, 0)
    }))
})
