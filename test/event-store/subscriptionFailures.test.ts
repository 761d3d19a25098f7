/** Subscriptions that are deposed in the middle of an event, meet rows that cannot be read, or are begun where they cannot be. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { discardParked, listParked, retryParked } from "@zakops/event-store/parkedEvents"
import { repairLog } from "@zakops/event-store/restoredLog"
import * as Subscription from "@zakops/event-store/Subscription"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { SetAside } from "@zakops/events/EventSource"
import * as Database from "@zakops/migrations/Database"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { Counter } from "../support/counter.ts"
import { emptyTables, eventually, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

const quick = { pollInterval: "20 millis" } as const

const byOf = ({ data }: EventEnvelope) => (data as { readonly by: number }).by

const ownerOf = (name: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [row] = yield* sql<
      { owner: string | null }
    >`SELECT owner FROM zakops.checkpoints WHERE subscription = ${name}`
    return row?.owner ?? null
  })

layer(Live, { excludeTestServices: true })("a runner that another one has replaced meanwhile", (it) => {
  /** Runs until it has an event, which it ends as `end` says once the heir has handled it. */
  const deposed = Effect.fnUntraced(function*(name: string, end: Effect.Effect<void, SetAside>) {
    const sql = yield* SqlClient
    const [handling, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    const paused = yield* Subscription.make(name, { pollInterval: "1 hour", lease: "1 hour" })
    const fiber = yield* Effect.forkScoped(
      paused.consume(() =>
        Deferred.succeed(handling, void 0).pipe(Effect.andThen(Deferred.await(mayEnd)), Effect.andThen(end))
      )
    )
    yield* Deferred.await(handling)
    const old = yield* ownerOf(name)
    // What is being tried again is not to be tried by the heir as well.
    yield* sql`UPDATE zakops.parked_events SET retry_at = NULL`
    yield* sql`UPDATE zakops.checkpoints SET lease_until = now() WHERE subscription = ${name}`
    const handled: Array<number> = []
    const heir = yield* Subscription.make(name, quick)
    yield* Effect.forkScoped(heir.consume((batch) => Effect.sync(() => void handled.push(...batch.map(byOf)))))
    yield* eventually(Effect.map(ownerOf(name), (owner) => owner !== old && owner !== null))
    return { fiber, handled, letEnd: Deferred.succeed(mayEnd, void 0) }
  })

  it.effect("parks nothing any more", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const db = yield* Database.make
      const { execute } = yield* EventStore
      const counter = randomUUID()
      const { ids } = yield* execute(Counter, counter, { add: 1 })
      const aside = new SetAside({ eventId: ids[0] ?? "", reason: "failed", error: "timed out" })
      const { handled, letEnd } = yield* deposed("parks", Effect.fail(aside))
      yield* eventually(Effect.sync(() => handled.length === 1))
      yield* letEnd
      for (const add of [2, 3]) yield* execute(Counter, counter, { add })
      yield* eventually(Effect.sync(() => handled.length === 3))
      assert.deepStrictEqual(handled, [1, 2, 3])
      assert.lengthOf(yield* listParked(db, "parks"), 0)
    })))

  it.effect("takes nothing out of what is parked", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const db = yield* Database.make
      const { execute } = yield* EventStore
      const { ids } = yield* execute(Counter, randomUUID(), { add: 1 })
      const first = yield* Subscription.make("removes", quick)
      const aside = new SetAside({ eventId: ids[0] ?? "", reason: "failed", error: "no" })
      const fiber = yield* Effect.forkScoped(first.consume(() => Effect.fail(aside)))
      yield* eventually(Effect.map(listParked(db, "removes"), (parked) => parked.length === 1))
      yield* Fiber.interrupt(fiber)
      yield* sql`UPDATE zakops.parked_events SET retry_at = now()`
      const { handled, letEnd } = yield* deposed("removes", Effect.void)
      yield* letEnd
      yield* moment(100)
      assert.lengthOf(yield* listParked(db, "removes"), 1)
      assert.strictEqual(yield* retryParked(db, "removes", "all"), 1)
      yield* eventually(Effect.sync(() => handled.length === 1))
      yield* eventually(Effect.map(listParked(db, "removes"), (parked) => parked.length === 0))
    })))
})

layer(Live, { excludeTestServices: true })("a subscription", (it) => {
  it.effect("parks a row that cannot be read, with its aggregate behind it, and goes on", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const db = yield* Database.make
      const { execute } = yield* EventStore
      const counter = randomUUID()
      yield* execute(Counter, counter, { add: 1 })
      yield* sql`INSERT INTO zakops.agent_events (id, aggregate_type, aggregate_id, event_type, event_data)
        VALUES (gen_random_uuid(), 'counter', ${counter}, 'counter.added', jsonb_build_object('by', repeat('x', 20000000)))`
      yield* execute(Counter, counter, { add: 2 })
      yield* execute(Counter, randomUUID(), { add: 3 })
      const handled: Array<number> = []
      const source = yield* Subscription.make("huge", quick)
      yield* Effect.forkScoped(source.consume((batch) => Effect.sync(() => void handled.push(...batch.map(byOf)))))
      yield* eventually(Effect.sync(() => handled.length === 2))
      assert.deepStrictEqual(handled, [1, 3])
      const parked = yield* listParked(db, "huge")
      assert.deepStrictEqual(parked.map(({ reason }) => reason), ["failed", "behind"])
      assert.include(parked[0]?.error, "larger than 12 MiB")
      const failed = yield* Effect.flip(Stream.runDrain(Subscription.stream()))
      assert.include(failed.message, "larger than 12 MiB")
      assert.strictEqual(yield* discardParked(db, "huge", [parked[0]?.eventId ?? ""]), 1)
      yield* eventually(Effect.sync(() => handled.length === 3))
    })))

  it.effect("refuses a cursor that was kept from before the log was moved here, but for one that has a checkpoint", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { execute } = yield* EventStore
      for (let n = 1; n <= 3; n++) yield* execute(Counter, randomUUID(), { add: n })
      yield* sql`ALTER TABLE zakops.agent_events DISABLE TRIGGER agent_events_append_only`
      yield* sql`UPDATE zakops.agent_events SET xid = (xid::text::bigint + 1000000000)::text::xid8`
      yield* sql`ALTER TABLE zakops.agent_events ENABLE TRIGGER agent_events_append_only`
      const [row] = yield* sql<{ xid: string; position: bigint }>`
        SELECT log.xid::text AS xid, position FROM zakops.agent_events AS log ORDER BY position LIMIT 1`
      const kept = row ?? assert.fail()
      yield* repairLog
      const refused = yield* Effect.flip(Stream.runDrain(Subscription.stream({ from: kept })))
      assert.include(refused.message, `the cursor ${kept.xid}:${kept.position}`)
      const fresh = yield* Subscription.make("fresh", { ...quick, from: kept })
      assert.include((yield* Effect.flip(fresh.consume(() => Effect.void))).message, "the cursor")

      const handled: Array<number> = []
      const into = (batch: ReadonlyArray<EventEnvelope>) => Effect.sync(() => void handled.push(...batch.map(byOf)))
      const started = yield* Subscription.make("started", quick)
      const running = yield* Effect.forkScoped(started.consume(into))
      yield* eventually(Effect.sync(() => handled.length === 3))
      yield* Fiber.interrupt(running)
      const again = yield* Subscription.make("started", { ...quick, from: kept })
      yield* Effect.forkScoped(again.consume(into))
      yield* execute(Counter, randomUUID(), { add: 4 })
      yield* eventually(Effect.sync(() => handled.includes(4)))
    })))

  it.effect.each([0, -1, 0.5, NaN])("refuses to read %d events at a time", (batchSize) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Subscription.make("batches", { batchSize }))
      assert.include(String(exit), `batchSize is ${batchSize}`)
    }))
})
