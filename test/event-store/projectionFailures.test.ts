/** Projections whose handlers misbehave, whose parked events are discarded at the wrong moment, and rebuilds that cannot be. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { discardParked, listParked, retryParked } from "@zakops/event-store/parkedEvents"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import { run } from "@zakops/event-store/runProjection"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Added, Counter } from "../support/counter.ts"
import { emptyTables, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

const quick = { pollInterval: "20 millis", batchSize: 5 } as const

/** Adds each of the amounts to the counter. */
const happen = Effect.fnUntraced(function*(counter: string, ...amounts: ReadonlyArray<number>) {
  const { execute } = yield* EventStore
  for (const add of amounts) yield* execute(Counter, counter, { add })
})

const parkedOf = (projection: { readonly name: string; readonly version: number }) =>
  Effect.flatMap(Database.make, (db) => listParked(db, Projection.subscriptionOf(projection)))

const stateOf = (name: string, version = 1) =>
  Effect.map(
    ProjectionCatalog.list(name),
    (states) => states.find((state) => state.version === version) ?? assert.fail(`no ${name}`)
  )

class Wordless extends Schema.TaggedError<Wordless>()("Wordless", { n: Schema.Int }) {}

layer(Live, { excludeTestServices: true })("a projection whose handler", (it) => {
  const swallowing = (name: string, onFailure: "stop" | "park") =>
    Projection.make({
      name,
      onFailure,
      handlers: [Projection.on(Added, ({ data, envelope }) =>
        Effect.flatMap(SqlClient, (sql) => {
          const insert = sql`INSERT INTO swallowed VALUES (${data.by}, ${envelope.aggregateId})`
          return insert.pipe(Effect.catchReason("SqlError", "UniqueViolation", () => Effect.void))
        }))]
    })

  it.effect("overlooks that a statement failed is stopped by name, or the event is parked", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE swallowed (by int PRIMARY KEY, counter text)`
      yield* happen(randomUUID(), 1)
      const wrong = randomUUID()
      yield* happen(wrong, 1)
      yield* happen(randomUUID(), 2)
      const error = yield* Effect.flip(run(swallowing("stopping", "stop"), quick))
      assert.strictEqual(error._tag, "ProjectionStopped")
      assert.include(error.message, "one of its statements failed and it went on")
      yield* sql`TRUNCATE swallowed`
      const parking = swallowing("parking", "park")
      yield* Effect.forkScoped(run(parking, quick))
      yield* eventually(Effect.map(sql`SELECT 1 FROM swallowed WHERE by = 2`, (rows) => rows.length === 1))
      const parked = yield* parkedOf(parking)
      assert.deepStrictEqual(parked.map(({ reason }) => reason), ["failed"])
    })))

  it.effect("is interrupted elsewhere is stopped by name, and not in silence", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* happen(randomUUID(), 1)
      const joining = Projection.make({
        name: "joining",
        handlers: [Projection.on(Added, () =>
          Effect.gen(function*() {
            const other = yield* Effect.forkChild(Effect.never)
            yield* Fiber.interrupt(other)
            return yield* Fiber.join(other)
          }))]
      })
      const error = yield* Effect.flip(run(joining, quick))
      assert.strictEqual(error._tag, "ProjectionStopped")
    }))

  it.effect("takes too long by a limit of its own is given up after some tries, and its event named", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const slow = Projection.make({
        name: "slow",
        onFailure: "park",
        handlers: [Projection.on(Added, ({ data }) =>
          data.by === 13
            ? Effect.andThen(sql`SET LOCAL statement_timeout = '10ms'`, sql`SELECT pg_sleep(5)`)
            : Effect.void)]
      })
      yield* happen(randomUUID(), 13)
      yield* Effect.forkScoped(run(slow, quick))
      yield* eventually(Effect.map(parkedOf(slow), (parked) => parked.length === 1))
      assert.include((yield* parkedOf(slow))[0]?.error, "statement timeout")
    })))

  it.effect("appends to a stream that a younger transaction has moved is run again", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { write } = yield* EventStore
      const hot = randomUUID()
      let younger = 0
      const follower = Projection.make({
        name: "follower",
        onFailure: "park",
        handlers: [Projection.on(Added, ({ data }) =>
          Effect.gen(function*() {
            if (data.by !== 7) return
            const append = Effect.flatMap(Added.make({ by: 1 }), (event) =>
              write({ aggregateType: "counter", aggregateId: hot }, "any", [event]))
            // As another session would, the first few times.
            if (younger++ < 4) {
              yield* Effect.updateContext(append, (context: Context.Context<never>) =>
                Context.omit(sql.transactionService)(context))
            }
            yield* append
          }))]
      })
      yield* happen(hot, 1)
      yield* happen(randomUUID(), 7)
      yield* Effect.forkScoped(run(follower, quick))
      const caughtUp = Effect.map(stateOf("follower"), ({ newest, position }) => younger >= 5 && position === newest)
      yield* eventually(Effect.map(ProjectionCatalog.list("follower"), (states) => states.length === 1))
      yield* eventually(caughtUp)
      assert.lengthOf(yield* parkedOf(follower), 0)
      const [row] = yield* sql<{ version: bigint }>`SELECT version FROM zakops.streams WHERE aggregate_id = ${hot}`
      assert.strictEqual(row?.version, 6n)
    })))

  it.effect("fails without words is told by the error's name and fields", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const wordless = Projection.make({
        name: "wordless",
        onFailure: "park",
        handlers: [Projection.on(Added, ({ data }) =>
          Effect.fail(data.by === 1 ? new Wordless({ n: 1 }) : { _tag: "Plain", why: "x" }))]
      })
      yield* happen(randomUUID(), 1)
      yield* happen(randomUUID(), 2)
      yield* Effect.forkScoped(run(wordless, quick))
      yield* eventually(Effect.map(parkedOf(wordless), (parked) =>
        parked.length === 2))
      assert.deepStrictEqual((yield* parkedOf(wordless)).map(({ error }) => error), [
        `Wordless {"n":1}`,
        `Plain {"why":"x"}`
      ])
    })))

  it.effect("fails on what an older build parked as newer stops it, where failures are to", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const { write } = yield* EventStore
      const stream = { aggregateType: "counter", aggregateId: randomUUID() }
      const Grown = EventDefinition.make("counter.added", {
        version: 2,
        payload: Schema.Struct({ by: Schema.Int }),
        upcasters: { 1: (json) => json }
      })
      yield* write(stream, "any", [yield* Grown.make({ by: 5 }), yield* Added.make({ by: 6 })])
      const old = Projection.make({ name: "grown", handlers: [Projection.on(Added, () => Effect.void)] })
      const running = yield* Effect.forkScoped(run(old, quick))
      yield* eventually(Effect.map(parkedOf(old), (parked) => parked.length === 2))
      yield* Fiber.interrupt(running)
      const broken = Projection.make({ name: "grown", handlers: [Projection.on(Grown, () => Effect.fail("broken"))] })
      for (let start = 0; start < 2; start++) {
        const error = yield* Effect.flip(run(broken, quick))
        assert.strictEqual(error._tag, "ProjectionStopped")
        assert.deepStrictEqual((yield* parkedOf(old)).map(({ reason }) => reason), ["newer", "behind"])
      }
      assert.include((yield* stateOf("grown")).error, "broken")
    })))

  it.effect("stands there twice for one type is refused where it is made", () =>
    Effect.sync(() => {
      const handler = Projection.on(Added, () => Effect.void)
      assert.throws(
        () => Projection.make({ name: "twice", handlers: [handler, handler] }),
        "two handlers of counter.added"
      )
    }))

  it.effect("cannot be given its event, for its row cannot be read, parks it as others or stops at it", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.agent_events (id, event_type, event_data)
        VALUES (gen_random_uuid(), 'counter.added', jsonb_build_object('by', repeat('x', 20000000)))`
      yield* sql`INSERT INTO zakops.agent_events (id, event_type, event_data, created_at)
        VALUES (gen_random_uuid(), 'counter.added', '{"by": 8}', 'infinity')`
      const seen: Array<number> = []
      const reading = (onFailure: "stop" | "park") =>
        Projection.make({
          name: onFailure,
          onFailure,
          handlers: [Projection.on(Added, ({ data }) => Effect.sync(() => seen.push(data.by)))]
        })
      const error = yield* Effect.flip(run(reading("stop"), quick))
      assert.include(error.message, "larger than 12 MiB")
      assert.strictEqual(error._tag, "ProjectionStopped")
      assert.deepStrictEqual(seen, [])
      yield* Effect.forkScoped(run(reading("park"), quick))
      yield* eventually(Effect.sync(() => seen.length === 1))
      assert.include((yield* parkedOf(reading("park")))[0]?.error, "larger than 12 MiB")
    })))
})

layer(Live, { excludeTestServices: true })("parked events of a projection", (it) => {
  it.effect("that were read behind one that is discarded at that moment are handled, and not parked behind nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const db = yield* Database.make
      const other = yield* TestDatabase.otherClient
      const handled: Array<number> = []
      const projection = Projection.make({
        name: "orphans",
        onFailure: "park",
        handlers: [
          Projection.on(
            Added,
            ({ data }) => data.by === 13 ? Effect.fail("no") : Effect.sync(() => handled.push(data.by))
          )
        ]
      })
      const counter = randomUUID()
      yield* happen(counter, 13)
      yield* Effect.forkScoped(run(projection, quick))
      yield* eventually(Effect.map(parkedOf(projection), (parked) => parked.length === 1))
      yield* other.withTransaction(Effect.gen(function*() {
        // The page is read, and cannot be handled yet.
        yield* other`LOCK TABLE zakops.checkpoints IN SHARE MODE`
        yield* happen(counter, 1)
        yield* eventually(Effect.map(
          sql`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SET xid%'`,
          (waiting) => waiting.length > 0
        ))
        assert.strictEqual(yield* discardParked(db, Projection.subscriptionOf(projection), "all"), 1)
      }))
      yield* happen(counter, 2)
      yield* eventually(Effect.sync(() => handled.length === 2))
      assert.deepStrictEqual(handled, [1, 2])
      assert.lengthOf(yield* parkedOf(projection), 0)
    })))

  it.effect("that wait behind nothing, since an older build left them so, are revived by a retry", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const db = yield* Database.make
      const handled: Array<number> = []
      const projection = Projection.make({
        name: "left",
        onFailure: "park",
        handlers: [
          Projection.on(
            Added,
            ({ data }) => data.by === 13 ? Effect.fail("no") : Effect.sync(() => handled.push(data.by))
          )
        ]
      })
      yield* happen(randomUUID(), 13, 1, 2)
      yield* Effect.forkScoped(run(projection, quick))
      yield* eventually(Effect.map(parkedOf(projection), (parked) => parked.length === 3))
      yield* sql`DELETE FROM zakops.parked_events WHERE reason = 'failed'`
      assert.strictEqual(yield* retryParked(db, Projection.subscriptionOf(projection), "all"), 1)
      yield* eventually(Effect.sync(() => handled.length === 2))
      assert.deepStrictEqual(handled, [1, 2])
    })))
})

layer(Live, { excludeTestServices: true })("a rebuild", (it) => {
  const log = Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* emptyTables
    yield* sql`CREATE TABLE IF NOT EXISTS rows (id uuid)`
    yield* sql`TRUNCATE rows`
    for (let n = 1; n <= 5; n++) yield* happen(randomUUID(), n)
  })
  const handlers = [
    Projection.on(
      Added,
      ({ envelope }) => Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO rows VALUES (${envelope.id}::uuid)`)
    )
  ]
  const reset = Effect.flatMap(SqlClient, (sql) => sql`TRUNCATE rows`)
  const isLive = (name: string, version = 1) =>
    Effect.map(
      ProjectionCatalog.list(name),
      (states) => states.some((state) => state.version === version && state.status === "live")
    )

  it.effect("that a build without a reset meets is left undone", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* log
      const sql = yield* SqlClient
      const running = yield* Effect.forkScoped(run(Projection.make({ name: "no reset", handlers, reset }), quick))
      yield* eventually(isLive("no reset"))
      yield* Fiber.interrupt(running)
      yield* ProjectionCatalog.requestRebuild("no reset")
      yield* Effect.forkScoped(run(Projection.make({ name: "no reset", handlers }), quick))
      yield* eventually(Effect.map(stateOf("no reset"), ({ resetRequested }) => !resetRequested))
      yield* happen(randomUUID(), 6)
      yield* eventually(Effect.map(sql`SELECT 1 FROM rows`, (rows) => rows.length === 6))
    })))

  it.effect("whose reset fails stops the projection once, and is withdrawn", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* log
      const failing = Projection.make({ name: "failing", handlers, reset: Effect.fail("not now") })
      const running = yield* Effect.forkScoped(Effect.flip(run(failing, quick)))
      yield* eventually(isLive("failing"))
      yield* ProjectionCatalog.requestRebuild("failing")
      assert.include((yield* Fiber.join(running)).message, "not now")
      const state = yield* stateOf("failing")
      assert.include(state.error, "not now")
      assert.isFalse(state.resetRequested)
    })))

  it.effect("in place leaves the version the one that is read, and one that is replaced is not rebuilt; its lag is none", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* log
      let held = false
      const make = (version: number) =>
        Projection.make({
          name: "versions",
          version,
          reset: Effect.void,
          handle: () => eventually(Effect.sync(() => !held))
        })
      yield* Effect.forkScoped(run(make(1), quick))
      yield* eventually(isLive("versions", 1))
      held = true
      yield* ProjectionCatalog.requestRebuild("versions", 1)
      yield* eventually(
        Effect.map(stateOf("versions"), ({ position, status }) => status === "building" && position === 0)
      )
      assert.deepStrictEqual(yield* ProjectionCatalog.liveVersion("versions"), Option.some(1))
      held = false
      yield* eventually(isLive("versions", 1))
      // Nothing to be switched to: asked of the live one, it is not kept for later.
      yield* ProjectionCatalog.requestSwitch("versions", 1)
      yield* Effect.forkScoped(run(make(2), quick))
      yield* eventually(isLive("versions", 2))
      assert.strictEqual((yield* stateOf("versions", 1)).status, "retired")
      const refused = yield* Effect.flip(ProjectionCatalog.requestRebuild("versions", 1))
      assert.include(refused.message, "was replaced by another one")
      yield* happen(randomUUID(), 1, 2, 3)
      const lag = Effect.map(
        Metric.snapshot,
        (metrics) =>
          metrics.find((metric) =>
            metric.id === "zakops_subscription_lag_events" &&
            metric.attributes?.["subscription"] === "projection versions v1"
          )?.state as { readonly value: number } | undefined
      )
      yield* eventually(Effect.map(lag, (state) => state?.value === 0))
    })))
})
