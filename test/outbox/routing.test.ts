/**
 * Routes: several destinations by type or predicate, each with retries, order, breaker, pause and dead letters of its own; behind the log and
 * behind an external destination alike. On a virtual clock.
 */
import { assert, describe, it as plain, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { EventPublisher, Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { DeadLetters, Destinations, FlowControl, OutboxProcessor, Routes } from "@zakops/outbox"
import type { EmitOptions, OutboxSettings } from "@zakops/outbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import { dueEntries } from "@zakops/outbox/claiming/dueEntries"
import { dueRuns } from "@zakops/outbox/claiming/dueRuns"
import { dueTurns } from "@zakops/outbox/claiming/dueTurns"
import { beginning } from "@zakops/outbox/claiming/Selection"
import { deleteInboxRows } from "@zakops/outbox/retention/deleteInboxRows"
import type { Route } from "@zakops/outbox/Routes"
import { problemOf } from "@zakops/outbox/Routes"
import { makeRouting, wantedBy } from "@zakops/outbox/routing/Routing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { FakePublisher } from "../support/FakePublisher.ts"
import { claim, emptyTables, eventually, moment, services } from "../support/outbox.ts"
import { fakeRoute, isInOrder } from "../support/routes.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const won = fakeRoute("won deals")
const partner = fakeRoute("the partner")
const everything = fakeRoute("everything")

const routes: ReadonlyArray<Route> = [
  { to: won.to, types: ["deal.won"] },
  {
    to: partner.to,
    types: ["deal.won", "deal.lost"],
    when: ({ headers }) => {
      if (headers["partner"] === "broken") throw new Error("the predicate is broken")
      return headers["partner"] === "acme"
    }
  },
  { to: { ...everything.to, destination: "a name that others have" }, name: "everything" }
]

const OnVirtualTime = TestDatabase.layer.pipe(Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)))

const live = (settings: Partial<OutboxSettings> = {}) =>
  Layer.mergeAll(Destinations.layer, DeadLetters.layer, FlowControl.layer).pipe(
    Layer.provideMerge(services({ publishTimeout: Duration.hours(1), pollInterval: Duration.seconds(1), ...settings })),
    Layer.provideMerge(Layer.succeed(Routes, routes))
  )

const mains = {
  "the log": (settings: Partial<OutboxSettings> = {}) =>
    live(settings).pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(OnVirtualTime)),
  "an external destination": (settings: Partial<OutboxSettings> = {}) =>
    live(settings).pipe(Layer.provideMerge(FakePublisher.layer), Layer.provideMerge(OnVirtualTime))
}

const emit = Effect.fnUntraced(function*(type: string, options: Partial<EmitOptions> = {}, count = 1) {
  const { transact } = yield* TransactionalPublisher
  const outbox = yield* Outbox
  const event = yield* EventDefinition.make(type, { payload: Schema.Struct({ text: Schema.String }) }).make({
    text: "t"
  })
  const correlationId = randomUUID()
  return yield* transact(outbox.emitAll(Array.from({ length: count }, () => ({ event, correlationId, ...options }))))
})

const startAfresh = Effect.gen(function*() {
  yield* emptyTables
  for (const fake of [won, partner, everything]) fake.reset()
  return { ...(yield* OutboxProcessor), ...(yield* Destinations) }
})

const idsOf = (envelopes: ReadonlyArray<EventEnvelope>) => envelopes.map(({ id }) => id)

const inTable = Effect.flatMap(
  SqlClient,
  (sql) =>
    sql<{ destination: string | null; status: string; attempts: number; eventId: string }>`
    SELECT destination, status, attempts, coalesce(event_id, id) AS "eventId" FROM zakops.outbox ORDER BY seq`
)

for (const [main, layerMain] of Object.entries(mains)) {
  layer(layerMain())(`routes behind ${main}`, (it) => {
    it.effect("take what they want by type and predicate, once; the main destination has it all", () =>
      Effect.gen(function*() {
        const { drain, ofEvent } = yield* startAfresh
        const [a = ""] = yield* emit("deal.made", { orderingKey: "d/1", headers: { partner: "acme" } })
        const [b = ""] = yield* emit("deal.won", { orderingKey: "d/1", headers: { partner: "acme" } })
        const [c = ""] = yield* emit("deal.lost", { headers: { partner: "acme" } })
        const [d = ""] = yield* emit("deal.lost", { headers: { partner: "other" } })
        const [e = ""] = yield* emit("deal.won", {
          headers: { partner: "broken" },
          traceId: "0af7651916cd43dd8448eb211c80319c"
        })
        yield* drain
        assert.sameMembers(idsOf(won.calls), [b, e])
        assert.sameMembers(idsOf(partner.calls), [b, c, e], "a predicate that throws loses nothing")
        assert.sameMembers(idsOf(everything.calls), [a, b, c, d, e])
        const states = (id: string) =>
          Effect.map(ofEvent(id), (all) => all.map(({ destination, status }) => [destination, status]))
        assert.deepStrictEqual(yield* states(b), [
          [null, "delivered"],
          ["everything", "delivered"],
          ["the partner", "delivered"],
          ["won deals", "delivered"]
        ])
        assert.deepStrictEqual(yield* states(d), [[null, "delivered"], ["everything", "delivered"]])

        const seen = won.calls.find(({ id }) => id === e)
        assert.deepInclude(seen, {
          eventType: "deal.won",
          data: { text: "t" },
          headers: { partner: "broken" },
          traceId: "0af76519-16cd-43dd-8448-eb211c80319c",
          createdAt: new Date(0),
          orderingKey: null
        })
        assert.strictEqual(won.calls.find(({ id }) => id === b)?.orderingKey, "d/1", "the event's own key")
      }))

    it.effect("fail each by itself: nothing is repeated where it has arrived", () =>
      Effect.gen(function*() {
        const { drain, ofEvent } = yield* startAfresh
        partner.respond = () => Effect.fail(new Transient({ reason: "the partner is busy" }))
        const [id = ""] = yield* emit("deal.won", { headers: { partner: "acme" } })
        yield* drain
        const at = Effect.map(ofEvent(id), (all) => all.find(({ destination }) => destination === "the partner"))
        assert.deepInclude(yield* at, { status: "pending", attempts: 1, error: "the partner is busy" })
        yield* TestClock.adjust("5 seconds")
        partner.respond = () => Effect.void
        yield* drain
        assert.deepInclude(yield* at, { status: "delivered", attempts: 2 })
        assert.deepStrictEqual([partner, won, everything].map(({ calls }) => calls.length), [2, 1, 1])
        assert.deepStrictEqual(idsOf(partner.calls), [id, id], "the event's id is the deduplication key")
      }))

    it.effect("make no second entry when the main destination is delivered to again", () =>
      Effect.gen(function*() {
        const { drain } = yield* startAfresh
        const sql = yield* SqlClient
        const [id = ""] = yield* emit("deal.won", { headers: { partner: "acme" }, orderingKey: "k" })
        yield* drain
        yield* sql`UPDATE zakops.outbox SET status = 'pending', delivered_at = NULL WHERE id = ${id}::uuid`
        yield* drain
        assert.lengthOf(yield* inTable, 4)
        assert.deepStrictEqual([partner, won, everything].map(({ calls }) => calls.length), [1, 1, 1])
      }))

    it.effect("keep the order of each key, whatever fails at another destination", () =>
      Effect.gen(function*() {
        const { drain } = yield* startAfresh
        let called = 0
        won.respond = () => called++ % 7 === 3 ? Effect.fail(new Transient({ reason: "no" })) : Effect.void
        for (let n = 0; n < 10; n++) {
          for (const orderingKey of ["a", "b", "c"]) yield* emit("deal.won", { orderingKey })
        }
        yield* drain
        assert.lengthOf(everything.arrived, 30, "who fails holds up nobody else")
        assert.isBelow(won.arrived.length, 30)
        for (let n = 0; n < 30 && won.arrived.length < 30; n++) {
          yield* TestClock.adjust("1 minute")
          yield* drain
        }
        assert.lengthOf(won.arrived, 30)
        for (const { arrived } of [won, everything]) assert.isTrue(isInOrder(arrived))
      }))

    it.effect("that are down hold up no other, and lose no attempt", () =>
      Effect.gen(function*() {
        const { start } = yield* startAfresh
        partner.respond = () => Effect.fail(new TransportDown({ reason: "connection refused" }))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* start
          yield* emit("deal.won", { headers: { partner: "acme" } }, 20)
          yield* eventually(Effect.sync(() => won.calls.length === 20 && everything.calls.length === 20))
          yield* eventually(Effect.sync(() => partner.calls.length > 0))
          const waiting = Effect.map(inTable, (rows) => rows.filter(({ destination }) => destination === "the partner"))
          yield* eventually(Effect.map(waiting, (rows) =>
            rows.length === 20 && rows.every(({ attempts, status }) =>
              status === "pending" && attempts === 0
            )))
          partner.respond = () =>
            Effect.void
          yield* eventually(Effect.gen(function*() {
            yield* TestClock.adjust("1 second")
            yield* moment(5)
            return (yield* waiting).every(({ status }) => status === "delivered")
          }))
          assert.lengthOf(won.calls, 20)
        }))
      }))

    it.effect("that are paused keep what is theirs until they are resumed", () =>
      Effect.gen(function*() {
        const { drain } = yield* startAfresh
        const { pause, resume } = yield* FlowControl
        yield* pause({ destination: "won deals" }, { by: "me" })
        yield* emit("deal.won")
        yield* drain
        assert.deepStrictEqual([won, everything].map(({ calls }) => calls.length), [0, 1])
        yield* resume({ destination: "won deals" }, { by: "me" })
        yield* drain
        assert.lengthOf(won.calls, 1)
      }))

    it.effect("have dead letters of their own, found and redriven by destination", () =>
      Effect.gen(function*() {
        const { drain, list } = yield* startAfresh
        const dead = yield* DeadLetters
        won.respond = () => Effect.fail(new Permanent({ reason: "never" }))
        const [id = ""] = yield* emit("deal.won", { orderingKey: "k" })
        yield* drain
        const page = yield* dead.list({ destination: "won deals" })
        assert.lengthOf(page.entries, 1)
        assert.deepInclude(page.entries[0], { eventId: id, destination: "won deals", error: "never", blocks: true })
        assert.strictEqual(yield* dead.count({ destination: "" }), 0)
        assert.deepInclude((yield* list).find(({ destination }) => destination === "won deals"), {
          dead: 1,
          pending: 0
        })
        won.respond = () => Effect.void
        assert.strictEqual(yield* dead.redrive({ destination: "won deals" }, { by: "me" }), 1)
        yield* drain
        assert.deepStrictEqual([won, everything].map(({ arrived }) => arrived.length), [1, 1])
      }))

    it.effect("get what a worker that vanished held, after its lease", () =>
      Effect.gen(function*() {
        const { drain } = yield* startAfresh
        yield* emit("deal.won", { orderingKey: "k" })
        if (main === "an external destination") {
          // Gone between the publish and the settle: nothing was handed on.
          yield* claim(10, Duration.seconds(30))
          yield* drain
          assert.deepStrictEqual(won.calls, [])
          yield* TestClock.adjust("31 seconds")
          yield* drain
          yield* TestClock.adjust("5 seconds")
        }
        yield* drain
        assert.lengthOf(won.calls, 1)
        // And in the middle of a delivery to a route.
        const sql = yield* SqlClient
        yield* emit("deal.won", { orderingKey: "k" })
        won.respond = () => Effect.fail(new Transient({ reason: "not yet" }))
        yield* drain
        yield* sql`UPDATE zakops.outbox SET status = 'processing', claim_id = gen_random_uuid(), lease_until = ${new Date(
          0
        )}
          WHERE destination = 'won deals' AND status = 'pending'`
        won.respond = () => Effect.void
        yield* TestClock.adjust("5 seconds")
        yield* drain
        yield* TestClock.adjust("15 seconds")
        yield* drain
        assert.lengthOf(won.arrived, 2)
        assert.isTrue(isInOrder(won.arrived))
      }))

    it.effect("count what waits, each for itself", () =>
      Effect.gen(function*() {
        const { drain, list } = yield* startAfresh
        won.respond = () => Effect.fail(new Transient({ reason: "no" }))
        for (const orderingKey of [null, "k", "k", "k"]) yield* emit("deal.won", { orderingKey })
        yield* drain
        yield* TestClock.adjust("7 seconds")
        yield* emit("deal.made", { delay: "1 hour" }, 2)
        const all = yield* list
        assert.deepStrictEqual(
          all.map(({ dead, destination, oldest, pending }) => ({ destination, pending, dead, oldest })),
          [
            { destination: null, pending: 2, dead: 0, oldest: null },
            { destination: "won deals", pending: 4, dead: 0, oldest: 2000 }
          ]
        )
      }))

    it.effect("miss a deadline each by itself", () =>
      Effect.gen(function*() {
        const { drain, ofEvent } = yield* startAfresh
        const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        won.respond = () => Effect.fail(new Transient({ reason: "no" }))
        const [id = ""] = yield* emit("deal.won", { expiresAt: new Date(now + 10_000) })
        yield* drain
        yield* TestClock.adjust("11 seconds")
        yield* drain
        assert.deepStrictEqual((yield* ofEvent(id)).map(({ destination, status }) => [destination, status]), [
          [null, "delivered"],
          ["everything", "delivered"],
          ["won deals", "dead"]
        ])
      }))

    it.effect("keep the inbox from forgetting an event that one of them may still bring", () =>
      Effect.gen(function*() {
        const { drain } = yield* startAfresh
        const sql = yield* SqlClient
        const db = yield* Database.make
        won.respond = () => Effect.fail(new Permanent({ reason: "no" }))
        const [dead = ""] = yield* emit("deal.won")
        const [done = ""] = yield* emit("deal.made")
        yield* drain
        yield* sql`INSERT INTO zakops.inbox (id, event_id, consumer_id, processed_at)
          SELECT gen_random_uuid(), id, 'c', ${new Date(0)} FROM unnest(${[dead, done]}::uuid[]) AS id`
        yield* TestClock.adjust("2 days")
        yield* deleteInboxRows(db, Duration.days(1))("-infinity", 100)
        assert.deepStrictEqual(yield* sql`SELECT event_id AS id FROM zakops.inbox`, [{ id: dead }])
      }))
  })
}

layer(mains["the log"]({ enabled: false }))("with the outbox switched off, routes", (it) => {
  it.effect("are called after the main destination, in the caller's time", () =>
    Effect.gen(function*() {
      yield* startAfresh
      const sql = yield* SqlClient
      const [id = ""] = yield* emit("deal.won", { headers: { partner: "acme" } })
      yield* emit("deal.made")
      assert.deepStrictEqual([won, partner, everything].map(({ calls }) => calls.length), [1, 1, 2])
      assert.strictEqual(partner.calls[0]?.id, id)
      assert.deepStrictEqual(yield* inTable, [])
      assert.lengthOf(yield* sql`SELECT FROM zakops.agent_events`, 2)
      won.respond = () => Effect.fail(new Transient({ reason: "no" }))
      const error = yield* Effect.flip(emit("deal.won"))
      assert.strictEqual(error._tag, "Transient")
      assert.lengthOf(yield* sql`SELECT FROM zakops.agent_events`, 2, "the caller's transaction is rolled back")
    }))
})

layer(mains["the log"]({ modes: { "deal.won": "shadow" } }))("in shadow mode, routes", (it) => {
  it.effect("are called once, directly: the copy is for the comparison", () =>
    Effect.gen(function*() {
      const { drain } = yield* startAfresh
      yield* emit("deal.won")
      assert.lengthOf(won.calls, 1)
      yield* drain
      assert.lengthOf(won.calls, 1)
      assert.lengthOf(yield* inTable, 1)
    }))
})

layer(TestDatabase.layer)("claims", (it) => {
  it.effect("find what is due for each destination by its index", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const db = yield* Database.make
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, status, next_attempt_at, ordering_key, destination, waits_for)
        SELECT gen_random_uuid(), gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'delivered' END, now(),
          CASE WHEN n % 4 = 0 THEN 'k' || n END, CASE WHEN n % 3 = 0 THEN 'a' WHEN n % 3 = 1 THEN 'b' END, NULL
        FROM generate_series(1, 12000) n`
      yield* sql`UPDATE zakops.outbox SET waits_for = 'turn' WHERE status = 'pending' AND seq % 5 = 0`
      yield* sql`ANALYZE zakops.outbox`
      const time = yield* db.now
      for (const route of [null, "a"]) {
        const taking = {
          time,
          limit: 100,
          meet: 100,
          run: 100,
          depth: 1,
          after: beginning,
          bytes: null,
          destination: "d",
          route,
          limited: [],
          suspectsApart: true
        }
        const index = (name: string) => route === null ? `outbox_${name}` : `outbox_routed_${name}`
        const selections = [
          [dueEntries(db, taking), index("due")],
          [dueRuns(db, taking), index("due_keyed")],
          [dueTurns(db, "", taking), index("turn")]
        ] as const
        for (const [{ ctes }, name] of selections) {
          const plan = yield* sql<{ "QUERY PLAN": string }>`EXPLAIN WITH ${ctes} SELECT FROM taken`
          const first = plan.map((line) => line["QUERY PLAN"]).find((line) => / on outbox\b/.test(line))
          assert.include(first, `Index Scan using ${name} on outbox`)
        }
      }
    }))
})

describe("routes", () => {
  plain("are refused where two have one name, or nothing to take", () => {
    const { to } = fakeRoute("a")
    assert.include(problemOf([{ to }, { to }], "main") ?? "", "two destinations are called a")
    assert.include(problemOf([{ to }], "a") ?? "", "two destinations are called a")
    assert.isUndefined(problemOf([{ to }, { to, name: "b" }], "main"))
    assert.include(problemOf([{ to, name: "" }], "main") ?? "", "is no name for a destination")
    assert.include(problemOf([{ to, types: [] }], "main") ?? "", "takes no type")
    const limits = { destination: { rate: { limit: 0, per: "1 second" } } } as const
    assert.include(problemOf([{ to, limits }], "main") ?? "", "the limit of the destination is 0")
  })

  plain("that no predicate narrows are decided by the type alone", () => {
    const routing = makeRouting(routes, Effect.void)
    assert.deepStrictEqual(routing?.byType, [
      { destination: "won deals", types: ["deal.won"] },
      { destination: "everything", types: null }
    ])
    assert.deepStrictEqual(routing?.asked, ["deal.won", "deal.lost"])
    assert.isUndefined(makeRouting([], Effect.void))
  })
})

layer(Layer.empty)("a row that cannot be read", (it) => {
  it.effect("goes to each route of its type: what becomes of it there can be seen", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* wantedBy(routes, "deal.lost", Result.fail("no event")), [
        "the partner",
        "everything"
      ])
    }))

  it.effect("of a transactional publisher makes no route", () =>
    Effect.gen(function*() {
      const { routeTo } = yield* Effect.promise(() => import("@zakops/outbox/Routes"))
      const log = Layer.succeed(EventPublisher, {
        _tag: "Transactional",
        destination: "a table",
        copyFrom: (entries) => entries,
        afterCommit: Effect.void
      })
      const exit = yield* Effect.exit(Effect.scoped(routeTo(log)))
      assert.include(String(exit), "can only be the main destination")
    }))
})

const OneDatabase = Layer.mergeAll(services({ publishTimeout: Duration.hours(1) }), Destinations.layer).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(OnVirtualTime)
)

layer(OneDatabase)("routes that come and go", (it) => {
  /** Empties what a build with these routes knows of. */
  const drainWith = (routes: ReadonlyArray<Route>) =>
    Effect.flatMap(OutboxProcessor, ({ drain }) => drain).pipe(
      Effect.provide(Layer.fresh(OutboxProcessor.layer)),
      Effect.provideService(Routes, routes)
    )
  const waiting = Effect.map(
    Effect.flatMap(Destinations, ({ list }) => list),
    (all) => all.filter(({ pending }) => pending > 0).map(({ destination, pending }) => [destination, pending])
  )

  it.effect("keep what waits for one that was taken away until a build has it again; the others go on", () =>
    Effect.gen(function*() {
      yield* emptyTables
      for (const fake of [won, everything]) fake.reset()
      const [toWon, toAll] = [{ to: won.to }, { to: everything.to }]
      won.respond = () => new TransportDown({ reason: "away" })
      const [first = ""] = yield* emit("deal.won", { orderingKey: "k" })
      yield* drainWith([toWon, toAll])
      won.respond = () => Effect.void
      won.calls.length = 0

      const [second = ""] = yield* emit("deal.won", { orderingKey: "k" })
      yield* drainWith([toAll])
      assert.deepStrictEqual(idsOf(won.calls), [])
      assert.deepStrictEqual(idsOf(everything.arrived), [first, second])
      assert.deepStrictEqual(yield* waiting, [["won deals", 1]])

      // A route that comes back has what waited for it, and nothing of what was delivered in between.
      const [third = ""] = yield* emit("deal.won", { orderingKey: "k" })
      yield* drainWith([toWon, toAll])
      assert.deepStrictEqual(idsOf(won.arrived), [first, third])
      assert.deepStrictEqual(idsOf(everything.arrived), [first, second, third])
      assert.deepStrictEqual(yield* waiting, [])
    }))

  it.effect("to one place under two names bring an event twice, under the same id", () =>
    Effect.gen(function*() {
      yield* emptyTables
      won.reset()
      const [id = ""] = yield* emit("deal.won")
      yield* drainWith([{ to: won.to, name: "a", types: ["deal.won"] }, { to: won.to, name: "b" }])
      assert.deepStrictEqual(idsOf(won.arrived), [id, id])
    }))
})
