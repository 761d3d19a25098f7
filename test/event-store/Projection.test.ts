/** Projections: exactly once through crashes, rebuilt in place and beside, stopped and parked. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { listParked, retryParked } from "@zakops/event-store/parkedEvents"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import { run } from "@zakops/event-store/runProjection"
import * as ProjectionSpecification from "@zakops/event-store/testing/ProjectionSpecification"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Database from "@zakops/migrations/Database"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import { join } from "node:path"
import { Added, Counter, Taken } from "../support/counter.ts"
import { emptyTables, eventually, moment, services, untilReadable } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { foldOfLog, makeTotalsTable, rowsOf, totals, totalsAt, totalsIn } from "../support/totals.ts"

const Live = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(Layer.effectDiscard(Effect.forEach(["totals", "totals_2"], makeTotalsTable))),
  Layer.provideMerge(TestDatabase.layer)
)

const quick = { pollInterval: "20 millis", lease: "300 millis" } as const

const start = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* emptyTables
  yield* sql`DROP VIEW IF EXISTS totals_now`
  yield* sql`TRUNCATE totals, totals_2`
})

/** Appends to `counters` counters, `events` in all. */
const happen = Effect.fnUntraced(function*(events: number, counters: ReadonlyArray<string>) {
  const { execute } = yield* EventStore
  for (let n = 0; n < events; n++) {
    const counter = counters[n % counters.length] ?? ""
    yield* execute(Counter, counter, n % 4 === 3 ? { take: 1 } : { add: n + 1 }, { correlationId: randomUUID() })
  }
})

const hasAll = (table: string) =>
  Effect.gen(function*() {
    return JSON.stringify(yield* rowsOf(table)) === JSON.stringify(yield* foldOfLog)
  })

const caughtUp = (table: string) => eventually(hasAll(table))

/** Runs the projection in a process that kills itself, and gives the signal that it died of. */
const killed = Effect.fnUntraced(function*(at: string, after: number, batch: number, more: NodeJS.ProcessEnv = {}) {
  const DATABASE_URL = yield* TestDatabase.DatabaseUrl
  const script = join(import.meta.dirname, "../support/projectionProcess.ts")
  const asked = { DATABASE_URL, KILL_AT: at, KILL_AFTER: String(after), BATCH: String(batch) }
  return yield* Effect.promise(() =>
    new Promise<string | null>((resolve) => {
      const env = { ...process.env, ...asked, ...more }
      execFile(process.execPath, [script], { env }, (error) => resolve(error?.signal ?? null))
    })
  )
})

layer(Live, { excludeTestServices: true })("a projection", (it) => {
  it.effect("equals the fold of the log after its process was killed at every step of its handling", () =>
    Effect.gen(function*() {
      yield* start
      yield* happen(60, ["a", "b", "c"])
      for (
        const [at, after, batch] of [["before handling", 1, 5], ["before commit", 6, 5], ["committing", 2, 7], [
          "before commit",
          12,
          12
        ]] as const
      ) {
        assert.strictEqual(yield* killed(at, after, batch), "SIGKILL", at)
      }
      const running = yield* Effect.forkChild(run(totals, quick))
      yield* caughtUp("totals")
      yield* Fiber.interrupt(running)
      assert.isAbove((yield* rowsOf("totals")).length, 0)
    }))

  it.effect(
    "equals the fold of the log after its process was killed behind any message that it sends to the server",
    () =>
      Effect.gen(function*() {
        yield* start
        yield* happen(6, ["a", "b"])
        const sql = yield* SqlClient
        // Each process is to find them at its first look, and no transaction of another test file to hold them back.
        yield* untilReadable
        const afterMessages = Effect.fnUntraced(function*(sent: number) {
          const table = `totals_killed_${sent}`
          yield* makeTotalsTable(table)
          // It renews no lease meanwhile: that would be messages that depend on how long it takes.
          assert.strictEqual(yield* killed("sent", sent, 4, { TABLE: table, LEASE: "1 hour" }), "SIGKILL", table)
          const progress = (yield* rowsOf(table)).length
          const heir = yield* Effect.forkChild(run(totalsAt(table), quick))
          // What it sent last may still be on its way, and take the lease after its death.
          const runOut = sql`UPDATE zakops.checkpoints SET lease_until = now() - interval '1 second'
          WHERE subscription = ${`projection ${table} v1`} AND runner <> ${`${hostname()}:${process.pid}`}`
          yield* eventually(Effect.andThen(runOut, hasAll(table)))
          yield* Fiber.interrupt(heir)
          return progress
        })
        // Enough for it to connect, to handle two batches and to become live.
        const progress = yield* Effect.forEach(Arr.range(1, 40), afterMessages, { concurrency: 4 })
        assert.strictEqual(progress[0], 0, "before the first")
        assert.strictEqual(progress.at(-1), 2, "and behind the last")
      }),
    180_000
  )

  it.effect.prop(
    "equals the fold of the log, by batches of any size, with crashes at any event",
    {
      batchSize: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })),
      crashes: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))).check(
        Schema.isMaxLength(4)
      )
    },
    Effect.fnUntraced(function*({ batchSize, crashes }) {
      yield* start
      // More events than all of the crashes together let through: each of them does happen.
      yield* happen(24, ["a", "b"])
      for (const crash of crashes) {
        let left = crash
        // Is interrupted in the middle of the transaction: what a process that stops does.
        const crashNow = Effect.withFiber((fiber) => {
          fiber.interruptUnsafe()
          return Effect.never
        })
        const crashing = {
          ...totals,
          handle: (events: Parameters<typeof totals.handle>[0]) =>
            Effect.forEach(events, (event) => left-- <= 0 ? crashNow : totals.handle([event]), {
              discard: true
            })
        }
        yield* Effect.exit(run(crashing, { ...quick, batchSize }))
      }
      const running = yield* Effect.forkChild(run(totals, { ...quick, batchSize }))
      yield* happen(6, ["b", "c"])
      yield* caughtUp("totals")
      yield* Fiber.interrupt(running)
    }),
    { arbitrary: { runs: 15 } }
  )

  it.effect("is run by one process at a time", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* start
      let [first, second] = [0, 0]
      const counting = (count: () => void) => ({
        ...totals,
        handle: (events: Parameters<typeof totals.handle>[0]) =>
          Effect.andThen(Effect.sync(count), totals.handle(events))
      })
      // Longer than anything here takes: it is to change hands because it was given up.
      const lasting = { ...quick, lease: "1 hour" } as const
      const one = yield* Effect.forkScoped(run(counting(() => first++), lasting))
      yield* eventually(
        Effect.map(ProjectionCatalog.list("totals"), ([state]) => state?.runner !== undefined && state.runner !== null)
      )
      yield* Effect.forkScoped(run(counting(() => second++), lasting))
      yield* happen(10, ["a"])
      yield* caughtUp("totals")
      assert.strictEqual(second, 0)
      yield* Fiber.interrupt(one)
      yield* happen(4, ["a"])
      yield* caughtUp("totals")
      assert.isAbove(first, 0)
      assert.isAbove(second, 0)
    })))

  const failingOn = (by: number, onFailure: "stop" | "park", willing: () => boolean) => {
    const base = totalsIn("totals", 1, { onFailure })
    return {
      ...base,
      handle: (events: Parameters<typeof base.handle>[0]) =>
        Effect.forEach(events, (event) =>
          (event.envelope.data as { readonly by: number }).by === by && !willing()
            // As a statement that Postgres refuses: the savepoint has to take it back.
            ? Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO totals VALUES (NULL, 0, 0)`)
            : base.handle([event]), { discard: true })
    }
  }

  it.effect("stops at an event that fails, keeps what came before, and goes on when started again", () =>
    Effect.gen(function*() {
      yield* start
      const sql = yield* SqlClient
      yield* happen(10, ["a", "b"])
      let willing = false
      const projection = failingOn(6, "stop", () => willing)
      const error = yield* Effect.flip(run(projection, { ...quick, batchSize: 100 }))
      if (error._tag !== "ProjectionStopped") return assert.fail(error.message)
      const [sixth] = yield* sql<{ id: string; position: bigint }>`
        SELECT id, position FROM zakops.agent_events WHERE event_data->>'by' = '6'`
      assert.deepInclude({ ...error }, {
        projection: "totals",
        version: 1,
        eventId: sixth?.id ?? null,
        position: sixth?.position ?? null
      })
      assert.include(error.message, "null value")
      assert.deepStrictEqual((yield* rowsOf("totals")).map(({ events }) => events), [3, 2])
      const [state] = yield* ProjectionCatalog.list("totals")
      assert.include(state?.error, sixth?.id)
      willing = true
      const running = yield* Effect.forkChild(run(projection, quick))
      yield* caughtUp("totals")
      yield* Fiber.interrupt(running)
      assert.isNull((yield* ProjectionCatalog.list("totals"))[0]?.error)
    }))

  it.effect("parks an event that fails, with those of its aggregate behind it, and handles them when they are retried", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* start
      const db = yield* Database.make
      yield* happen(10, ["a", "b"])
      let willing = false
      const projection = failingOn(3, "park", () => willing)
      yield* Effect.forkScoped(run(projection, { ...quick, batchSize: 4 }))
      const parked = listParked(db, "projection totals v1")
      yield* eventually(Effect.map(parked, (rows) => rows.length === 4))
      yield* eventually(Effect.map(rowsOf("totals"), (rows) => rows.find(({ id }) => id === "b")?.events === 5))
      assert.deepStrictEqual((yield* parked).map(({ reason }) => reason), ["failed", "behind", "behind", "behind"])
      assert.strictEqual((yield* rowsOf("totals")).find(({ id }) => id === "a")?.events, 1)
      // Retried in vain: it stays parked, with one more attempt.
      assert.strictEqual(yield* retryParked(db, "projection totals v1", "all"), 1)
      yield* eventually(Effect.map(parked, ([head]) => head?.attempts === 2))
      assert.lengthOf(yield* parked, 4)
      willing = true
      yield* retryParked(db, "projection totals v1", "all")
      yield* caughtUp("totals")
      yield* eventually(Effect.map(parked, (rows) => rows.length === 0))
    })))

  it.effect("parks what is newer than its build, also where failures stop it", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* start
      const db = yield* Database.make
      const { append, transact } = yield* EventStore
      const Newer = EventDefinition.make("counter.added", {
        version: 2,
        aggregateType: "counter",
        payload: Schema.Struct({ by: Schema.Int }),
        upcasters: { 1: (json) => json }
      })
      const put = (id: string, event: EventDefinition.Event) =>
        transact(append({ aggregateType: "counter", aggregateId: id }, "any", [event], { correlationId: randomUUID() }))
      yield* put("a", yield* Newer.make({ by: 1 }))
      yield* put("b", yield* Added.make({ by: 2 }))
      const old = yield* Effect.forkScoped(run(totals, quick))
      yield* eventually(Effect.map(rowsOf("totals"), (rows) => rows.length === 1))
      assert.deepStrictEqual((yield* listParked(db, "projection totals v1")).map(({ reason }) => reason), ["newer"])
      yield* Fiber.interrupt(old)
      const updated = {
        ...totals,
        handle: Projection.make({
          name: "x",
          handlers: [
            Projection.on(
              Newer,
              ({ data, envelope }) =>
                Effect.flatMap(
                  SqlClient,
                  (sql) => sql`INSERT INTO totals VALUES (${envelope.aggregateId}, ${data.by}, 1)`
                )
            )
          ]
        }).handle
      }
      yield* Effect.forkScoped(run(updated, quick))
      yield* caughtUp("totals")
    })))

  it.effect("is reset in place when somebody asks for it, with its progress to be seen", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* start
      const sql = yield* SqlClient
      yield* Effect.forkScoped(run(totals, quick))
      yield* happen(8, ["a", "b"])
      yield* caughtUp("totals")
      const state = Effect.map(ProjectionCatalog.list("totals"), ([first]) => first ?? assert.fail())
      yield* eventually(Effect.map(state, ({ newest, position, status }) => status === "live" && position === newest))
      yield* sql`UPDATE totals SET total = 0`
      assert.strictEqual(yield* ProjectionCatalog.requestRebuild("totals"), 1)
      yield* caughtUp("totals")
      yield* eventually(Effect.map(state, ({ resetRequested, status }) => status === "live" && !resetRequested))
    })))

  it.effect("of a new version is built beside the old one, switched to when it has caught up, and not switched back", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* start
      const sql = yield* SqlClient
      yield* Effect.forkScoped(run(totals, quick))
      yield* happen(8, ["a", "b"])
      yield* caughtUp("totals")
      yield* eventually(Effect.map(ProjectionCatalog.liveVersion("totals"), (live) => Option.contains(1)(live)))
      const statuses = Effect.map(ProjectionCatalog.list("totals"), (states) => states.map(({ status }) => status))

      let mayGoOn = false
      const second = totalsIn("totals_2", 2)
      const held = {
        ...second,
        handle: (events: Parameters<typeof second.handle>[0]) =>
          Effect.andThen(eventually(Effect.sync(() => mayGoOn)), second.handle(events))
      }
      yield* Effect.forkScoped(run(held, { ...quick, batchSize: 3 }))
      yield* eventually(Effect.map(statuses, (all) => all.length === 2))
      yield* moment(50)
      assert.deepStrictEqual(yield* statuses, ["live", "building"])
      assert.lengthOf(yield* sql`SELECT * FROM totals_now`, 2)
      mayGoOn = true
      yield* eventually(Effect.map(statuses, (all) => all.join() === "retired,live"))
      yield* caughtUp("totals_2")
      const view = yield* sql<{ definition: string }>`SELECT pg_get_viewdef('totals_now') AS definition`
      assert.include(view[0]?.definition, "totals_2")

      // The retired one rests, and one that is started again (by a deployment that was rolled back) does not take over by itself. A rebuild
      // that was asked for just before is still done: that tells that its runner knows.
      yield* sql`UPDATE zakops.projections SET reset_requested = true WHERE name = 'totals' AND version = 1`
      yield* eventually(
        Effect.map(ProjectionCatalog.list("totals"), (states) => states.every(({ resetRequested }) => !resetRequested))
      )
      yield* happen(4, ["c"])
      yield* caughtUp("totals_2")
      assert.deepStrictEqual(yield* rowsOf("totals"), [])
      yield* ProjectionCatalog.requestSwitch("totals", 1)
      yield* eventually(Effect.map(statuses, (all) => all.join() === "live,retired"))
      yield* caughtUp("totals")
      // From where it was left.
      yield* ProjectionCatalog.requestSwitch("totals", 2)
      yield* eventually(Effect.map(statuses, (all) => all.join() === "retired,live"))
      yield* happen(4, ["d"])
      yield* caughtUp("totals_2")
    })))

  it.effect("is refused by name what cannot be done with it", () =>
    Effect.gen(function*() {
      yield* start
      const unknown = yield* Effect.flip(ProjectionCatalog.requestRebuild("nothing"))
      assert.include(unknown.message, "there is none of that name")
      const lasting = Projection.make({ name: "lasting", handle: () => Effect.void })
      const running = yield* Effect.forkChild(run(lasting, quick))
      yield* eventually(Effect.map(ProjectionCatalog.list("lasting"), (states) => states.length === 1))
      assert.include((yield* Effect.flip(ProjectionCatalog.requestRebuild("lasting"))).message, "has no reset")
      assert.include((yield* Effect.flip(ProjectionCatalog.requestSwitch("lasting", 7))).message, "there are 1")
      yield* Fiber.interrupt(running)
    }))

  it.effect("is specified in given, when, then, and leaves nothing behind", () =>
    Effect.gen(function*() {
      yield* start
      const specification = ProjectionSpecification.of(totals)
        .given(yield* Added.make({ by: 5 }, { aggregateId: "x" }))
        .when(yield* Taken.make({ by: 2 }, { aggregateId: "x" }), yield* Added.make({ by: 1 }, { aggregateId: "y" }))
      yield* specification.then(rowsOf("totals"), [{ id: "x", total: 3, events: 2 }, { id: "y", total: 1, events: 1 }])
      const wrong = yield* Effect.exit(specification.then(rowsOf("totals"), []))
      assert.strictEqual(wrong._tag, "Failure")
      assert.lengthOf(yield* rowsOf("totals"), 0)
      assert.lengthOf(Arr.fromIterable(yield* foldOfLog), 0)
    }))
})
