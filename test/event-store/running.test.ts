/** Subscriptions as they are run: by one process at a time, filtered, parked, and on a log that was restored from a dump. */
import { assert, layer } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { discardParked, listParked } from "@zakops/event-store/parkedEvents"
import { repairLog } from "@zakops/event-store/restoredLog"
import * as Subscription from "@zakops/event-store/Subscription"
import { Consumer, InboxGuard } from "@zakops/inbox"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { Added, Counter } from "../support/counter.ts"
import { emptyTables, eventually, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.merge(EventStore.layer, InboxGuard.layer).pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

const quick = { pollInterval: "20 millis" } as const

layer(Live, { excludeTestServices: true })("a subscription", (it) => {
  /** Runs it in the background; gives what it has handled so far, by id, and a way to stop it. */
  const runner = Effect.fnUntraced(function*(name: string, options: Subscription.DurableOptions = quick) {
    const handled: Array<EventEnvelope> = []
    const source = yield* Subscription.make(name, options)
    const fiber = yield* Effect.forkScoped(source.consume((batch) =>
      Effect.sync(() => {
        handled.push(...batch)
      })
    ))
    return { handled, stop: Fiber.interrupt(fiber) }
  })

  const ownerOf = (name: string) =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const [row] = yield* sql<
        { owner: string | null }
      >`SELECT owner FROM zakops.checkpoints WHERE subscription = ${name}`
      return row?.owner ?? null
    })

  /** Its checkpoint is at the log's last event: what was handed out is handled for good. */
  const isAtTheEnd = (name: string) =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const rows = yield* sql`SELECT 1 FROM zakops.checkpoints
        WHERE subscription = ${name} AND position = (SELECT max(position) FROM zakops.agent_events)`
      return rows.length === 1
    })

  it.effect("has one runner at a time, which another one follows at once when it stops", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const { execute } = yield* EventStore
      const first = yield* runner("one runner")
      yield* eventually(Effect.map(ownerOf("one runner"), (owner) => owner !== null))
      const second = yield* runner("one runner")
      yield* execute(Counter, randomUUID(), { add: 1, times: 3 })
      yield* eventually(Effect.sync(() => first.handled.length === 3))
      yield* moment(100)
      assert.lengthOf(second.handled, 0)
      yield* first.stop
      yield* execute(Counter, randomUUID(), { add: 1 })
      yield* eventually(Effect.sync(() => second.handled.length === 1))
      assert.lengthOf(first.handled, 3)
    })))

  it.effect("is taken over when the lease of a runner that died has run out, and that one can do nothing any more", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { execute } = yield* EventStore
      const [handling, mayGoOn] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      // Handles its event until long after somebody else took over: as a process does that was paused.
      const paused = yield* Subscription.make("taken over", { ...quick, lease: "1 hour" })
      yield* Effect.forkScoped(
        paused.consume(() => Effect.andThen(Deferred.succeed(handling, void 0), Deferred.await(mayGoOn)))
      )
      yield* execute(Counter, randomUUID(), { add: 1 })
      yield* Deferred.await(handling)
      const heir = yield* runner("taken over")
      yield* moment(100)
      assert.lengthOf(heir.handled, 0, "the lease still runs")
      yield* sql`UPDATE zakops.checkpoints SET lease_until = now() WHERE subscription = 'taken over'`
      yield* eventually(Effect.sync(() => heir.handled.length === 1))
      const owner = yield* ownerOf("taken over")
      const checkpoint = sql`SELECT xid::text AS at, position FROM zakops.checkpoints WHERE subscription = 'taken over'`
      yield* execute(Counter, randomUUID(), { add: 1 })
      yield* eventually(Effect.sync(() => heir.handled.length === 2))
      yield* eventually(isAtTheEnd("taken over"))
      const ahead = yield* checkpoint
      yield* Deferred.succeed(mayGoOn, void 0)
      yield* moment(100)
      assert.deepStrictEqual(yield* checkpoint, ahead, "the checkpoint was not moved back")
      assert.strictEqual(yield* ownerOf("taken over"), owner)
    })))

  it.effect("renews its lease while a batch takes long", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const { execute } = yield* EventStore
      yield* execute(Counter, randomUUID(), { add: 1 })
      const sql = yield* SqlClient
      const time = yield* TestClock.make()
      const lease = Effect.gen(function*() {
        const [row] = yield* sql<
          { until: Date }
        >`SELECT lease_until AS until FROM zakops.checkpoints WHERE subscription = 'long'`
        return row?.until.getTime() ?? 0
      })
      const other = yield* Effect.gen(function*() {
        const long = yield* Subscription.make("long", { ...quick, lease: "900 millis" })
        const began = yield* Deferred.make<void>()
        yield* Effect.forkScoped(long.consume(() => Effect.andThen(Deferred.succeed(began, void 0), Effect.never)))
        // Its pauses, also those in which others hold the log back, pass while it is waited for.
        yield* eventually(Effect.andThen(time.adjust("1 millis"), Effect.sync(() => Deferred.isDoneUnsafe(began))))
        return yield* runner("long")
      }).pipe(Effect.provideService(Clock.Clock, time), Effect.provideService(DatabaseTime, fromClock))
      const owner = yield* ownerOf("long")
      for (let third = 0; third < 9; third++) {
        const until = yield* lease
        yield* time.adjust("300 millis")
        // A little more, should the runner not have gone to sleep by then.
        yield* eventually(
          Effect.andThen(time.adjust("1 millis"), Effect.map(lease, (renewed) => renewed > until))
        )
        assert.strictEqual(yield* ownerOf("long"), owner)
      }
      assert.lengthOf(other.handled, 0)
    })))

  it.effect("begins at the start, now, or after a cursor; a checkpoint comes before all of these", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const { execute } = yield* EventStore
      const counter = randomUUID()
      const before = yield* execute(Counter, counter, { add: 1, times: 3 })
      const [, second] = yield* Stream.runCollect(Stream.take(Subscription.stream(), 3))
      const fromNow = yield* runner("from now", { ...quick, from: "now" })
      const fromCursor = yield* runner("from cursor", { ...quick, from: second?.cursor ?? assert.fail() })
      const fromStart = yield* runner("from start")
      yield* eventually(Effect.map(ownerOf("from now"), (owner) => owner !== null))
      const after = yield* execute(Counter, counter, { add: 1 })
      const ids = (handled: ReadonlyArray<EventEnvelope>) => handled.map(({ id }) => id)
      yield* eventually(Effect.sync(() => fromStart.handled.length === 4))
      yield* eventually(Effect.sync(() => fromCursor.handled.length === 2))
      yield* eventually(Effect.sync(() => fromNow.handled.length >= 1))
      assert.deepStrictEqual(ids(fromStart.handled), [...before.ids, ...after.ids])
      assert.deepStrictEqual(ids(fromCursor.handled), [before.ids[2], after.ids[0]])
      assert.deepStrictEqual(ids(fromNow.handled), [...after.ids])
      yield* eventually(isAtTheEnd("from now"))
      yield* fromNow.stop
      const again = yield* runner("from now", { ...quick, from: "start" })
      const last = yield* execute(Counter, counter, { add: 1 })
      yield* eventually(Effect.sync(() => again.handled.length > 0))
      assert.deepStrictEqual(ids(again.handled), [...last.ids])
    })))

  it.effect("reads what its filter lets pass, in any combination, and moves on past the rest", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const { execute } = yield* EventStore
      const [one, other] = [randomUUID(), randomUUID()]
      for (let n = 0; n < 30; n++) {
        yield* execute(Counter, n % 3 === 0 ? one : other, { add: 2 })
        yield* execute(Counter, n % 3 === 0 ? one : other, { take: 1 })
      }
      const count = (filter: Subscription.Options["filter"]) =>
        Effect.gen(function*() {
          const name = JSON.stringify(filter).slice(0, 100)
          const { handled, stop } = yield* runner(name, { ...quick, filter, batchSize: 3 })
          yield* eventually(isAtTheEnd(name))
          yield* stop
          return handled.length
        })
      assert.strictEqual(yield* count({ types: ["counter.taken"] }), 30)
      assert.strictEqual(yield* count({ types: ["counter.taken", "counter.added"] }), 60)
      assert.strictEqual(yield* count({ types: [] }), 0)
      assert.strictEqual(yield* count({ aggregateType: "counter", aggregateId: one }), 20)
      assert.strictEqual(yield* count({ correlationId: other, types: ["counter.added"] }), 20)
      assert.strictEqual(yield* count({ aggregateType: "deal" }), 0)
    })))

  it.effect("reads no faster than its consumer", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { execute } = yield* EventStore
      yield* execute(Counter, randomUUID(), { add: 1, times: 100 })
      let pulled = 0
      const events = Subscription.stream({ batchSize: 10 }).pipe(
        Stream.rechunk(1),
        Stream.tap(() =>
          Effect.sync(() => {
            pulled++
          })
        ),
        Stream.take(5)
      )
      yield* Stream.runDrain(events)
      assert.strictEqual(pulled, 5)
    }))

  it.effect("tells how far it is behind, in events and seconds", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      for (let n = 0; n < 7; n++) {
        yield* sql`INSERT INTO zakops.agent_events (id, event_type, created_at) VALUES (gen_random_uuid(), 'a', now() - interval '90 s')`
      }
      const source = yield* Subscription.make("lagging", quick)
      yield* Effect.forkScoped(source.consume(() => Effect.never))
      const gauge = (what: string) =>
        Effect.map(
          Metric.snapshot,
          (metrics) =>
            metrics.find((metric) => metric.id === what && metric.attributes?.["subscription"] === "lagging")?.state as
              | { readonly value: number }
              | undefined
        )
      yield* eventually(Effect.map(gauge("zakops.subscription.lag.events"), (state) => state?.value === 7))
      const { value = 0 } = (yield* gauge("zakops.subscription.lag")) ?? {}
      assert.isAtLeast(value, 90)
      assert.isBelow(value, 150)
    })))

  const Grown = (version: number) =>
    EventDefinition.make("counter.added", {
      version,
      aggregateType: "counter",
      payload: Schema.Struct({ by: Schema.Int }),
      upcasters: { 1: (json) => json }
    })

  it.effect("parks what is newer than its build, with what is behind it, until a build that knows it runs", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const db = yield* Database.make
      const { append, transact } = yield* EventStore
      const [one, other] = [randomUUID(), randomUUID()]
      const put = (counter: string, definition: { readonly make: typeof Added.make }, by: number) =>
        Effect.gen(function*() {
          const event = yield* definition.make({ by })
          yield* transact(append({ aggregateType: "counter", aggregateId: counter }, "any", [event]))
        })
      yield* put(one, Added, 1)
      yield* put(one, Grown(2), 2)
      yield* put(one, Added, 3)
      yield* put(other, Added, 10)

      const seen: Array<number> = []
      const consume = (definition: typeof Added) =>
        Effect.gen(function*() {
          return yield* Consumer.run({
            consumerId: "counter",
            source: yield* Subscription.make("builds", quick),
            handlers: [Consumer.on(definition, ({ data }) =>
              Effect.sync(() => {
                seen.push(data.by)
              }))]
          })
        })
      const old = yield* Effect.forkScoped(consume(Added))
      yield* eventually(Effect.sync(() => seen.includes(10)))
      // Comes when the other one is parked already.
      yield* put(one, Added, 4)
      yield* put(other, Added, 11)
      yield* eventually(Effect.sync(() => seen.includes(11)))
      assert.deepStrictEqual(seen, [1, 10, 11])
      const parked = yield* listParked(db, "builds")
      assert.deepStrictEqual(parked.map(({ reason, schemaVersion }) => [reason, schemaVersion]), [["newer", 2], [
        "behind",
        1
      ], ["behind", 1]])
      assert.include(parked[0]?.error, "version 2")

      yield* Fiber.interrupt(old)
      yield* Effect.forkScoped(consume(Grown(2)))
      yield* eventually(Effect.sync(() => seen.length === 6))
      assert.deepStrictEqual(seen, [1, 10, 11, 2, 3, 4], "in the order of their aggregate, and nobody redrove them")
      yield* eventually(Effect.map(listParked(db, "builds"), (left) => left.length === 0))
    })))

  it.effect("goes on with those behind a parked event that is discarded", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const db = yield* Database.make
      const { append, transact } = yield* EventStore
      const stream = { aggregateType: "counter", aggregateId: randomUUID() }
      yield* transact(
        append(stream, "any", [
          yield* Grown(2).make({ by: 1 }),
          yield* Added.make({ by: 2 }),
          yield* Added.make({ by: 3 })
        ])
      )
      const seen: Array<number> = []
      yield* Effect.forkScoped(Consumer.run({
        consumerId: "discards",
        source: yield* Subscription.make("discards", quick),
        handlers: [Consumer.on(Added, ({ data }) =>
          Effect.sync(() => {
            seen.push(data.by)
          }))]
      }))
      yield* eventually(Effect.map(listParked(db, "discards"), (parked) => parked.length === 3))
      const [head] = yield* listParked(db, "discards")
      assert.strictEqual(yield* discardParked(db, "discards", [head?.eventId ?? ""]), 1)
      yield* eventually(Effect.sync(() => seen.length === 2))
      assert.deepStrictEqual(seen, [2, 3])
    })))
})

layer(Live, { excludeTestServices: true })("a log that was restored from a dump", (it) => {
  it.effect("is refused at start by everything that reads it, and repaired without skipping or repeating", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute } = yield* EventStore
      const counter = randomUUID()
      for (let n = 0; n < 6; n++) yield* execute(Counter, counter, { add: 1 })
      const handledBefore: Array<string> = []
      const take = (into: Array<string>, most: number) =>
        Effect.gen(function*() {
          const source = yield* Subscription.make("restored", { ...quick, batchSize: 1 })
          const enough = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkScoped(source.consume((batch) =>
            Effect.suspend(() => {
              if (into.length === most) return Effect.andThen(Deferred.succeed(enough, void 0), Effect.never)
              into.push(...batch.map(({ id }) => id))
              return Effect.void
            })
          ))
          return { enough: Deferred.await(enough), fiber }
        })
      const first = yield* take(handledBefore, 4)
      yield* first.enough
      yield* Fiber.interrupt(first.fiber)

      // What a dump brings along: ids of transactions that this cluster has not reached, in an order that is not that of the positions.
      yield* sql`ALTER TABLE zakops.agent_events DISABLE TRIGGER agent_events_append_only`
      yield* sql`UPDATE zakops.agent_events SET xid = (xid::text::bigint + 1000000000)::text::xid8`
      yield* sql`UPDATE zakops.checkpoints SET xid = (xid::text::bigint + 1000000000)::text::xid8`
      yield* sql`UPDATE zakops.streams SET xid = (xid::text::bigint + 1000000000)::text::xid8`
      yield* sql`ALTER TABLE zakops.agent_events ENABLE TRIGGER agent_events_append_only`

      const source = yield* Subscription.make("restored", quick)
      const failed = yield* Effect.flip(source.consume(() => Effect.void))
      assert.include(failed.message, "zakops repair-log")
      assert.include((yield* Effect.flip(Stream.runDrain(Subscription.stream()))).message, "zakops repair-log")
      const built = yield* Effect.exit(Effect.scoped(Layer.build(Layer.fresh(EventStore.layer))))
      assert.include(Exit.isFailure(built) ? Cause.pretty(built.cause) : "", "zakops repair-log")

      assert.deepStrictEqual(yield* repairLog, { events: 6 })
      assert.deepStrictEqual(yield* repairLog, { events: 0 })
      const more = yield* execute(Counter, counter, { add: 1 })
      assert.strictEqual(more.version, 7)
      const handledAfter: Array<string> = []
      yield* take(handledAfter, 100)
      yield* eventually(Effect.sync(() => handledAfter.length === 3))
      const all = yield* Stream.runCollect(Stream.take(Subscription.stream(), 7))
      assert.deepStrictEqual([...handledBefore, ...handledAfter], all.map(({ envelope }) => envelope.id))
      assert.deepStrictEqual(all.map(({ streamVersion }) => streamVersion), [1, 2, 3, 4, 5, 6, 7])
      const refused = yield* Effect.flip(sql`DELETE FROM zakops.agent_events`)
      assert.isDefined(refused, "the log is append-only again")
    })))
})
