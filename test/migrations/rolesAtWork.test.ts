/** Whether each role has all the rights that its work takes: through the API, as a user that logs in as it. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import { startProxy } from "@zakops/bench/proxy"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import { discardParked, listParked, retryParked } from "@zakops/event-store/parkedEvents"
import * as PostgresSubjectKeys from "@zakops/event-store/PostgresSubjectKeys"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import { run as runProjection } from "@zakops/event-store/runProjection"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { Permanent } from "@zakops/events/EventPublisher"
import * as Personal from "@zakops/events/Personal"
import { SubjectKeys } from "@zakops/events/SubjectKeys"
import * as Database from "@zakops/migrations/Database"
import { BlockedKeys, DeadLetters, FlowControl, Maintenance, Outbox, OutboxConfig } from "@zakops/outbox"
import { OutboxProcessor, OutboxWriter, RolloutReport, Routes, TransactionalPublisher } from "@zakops/outbox"
import type { EmitOptions, OutboxSettings } from "@zakops/outbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Added, Counter, counterWithSnapshots } from "../support/counter.ts"
import { DealMade } from "../support/events.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { layerAs, layerDatabase, schema, urlOf } from "../support/logins.ts"
import { eventually } from "../support/outbox.ts"
import { fakeRoute } from "../support/routes.ts"
import { run } from "../support/zakops.ts"

type Who = Parameters<typeof layerAs>[0]

/** A program that emits and delivers nothing, over a client of its own. */
const emittingTo = (settings: Partial<OutboxSettings> = {}) =>
  OutboxLive.layer.pipe(Layer.provideMerge(OutboxConfig.layerWith({ processorEnabled: false, ...settings })))

const toLog = (who: Who, settings: Partial<OutboxSettings> = {}) =>
  Layer.fresh(
    Layer.mergeAll(EventStore.layer, PostgresSubjectKeys.layer).pipe(
      Layer.provideMerge(emittingTo(settings)),
      Layer.provideMerge(EventLog.layerPublisher),
      Layer.provideMerge(layerAs(who))
    )
  )

const elsewhere = (who: Who, settings: Partial<OutboxSettings> = {}) =>
  Layer.fresh(
    Layer.mergeAll(FlowControl.layer, DeadLetters.layer, BlockedKeys.layer, RolloutReport.layer).pipe(
      Layer.provideMerge(emittingTo(settings)),
      Layer.provideMerge(FakePublisher.layer),
      Layer.provideMerge(layerAs(who))
    )
  )

const emitDeal = Effect.fnUntraced(function*(options: Partial<EmitOptions> = {}) {
  const { transact } = yield* TransactionalPublisher
  const outbox = yield* Outbox
  const event = yield* DealMade.make({ dealId: "d", title: "t" })
  return yield* transact(outbox.emit(event, { correlationId: randomUUID(), ...options }))
})

/** As the owner of the tables. */
const statusOf = (id: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [row] = yield* sql<{ status: string }>`SELECT status FROM ${sql(schema)}.outbox WHERE id = ${id}::uuid`
    return row?.status
  })

const emptyOutbox = Effect.gen(function*() {
  const sql = yield* SqlClient
  for (const table of ["outbox", "dedupe_keys", "shadow_deliveries"]) yield* sql`TRUNCATE ${sql(schema)}.${sql(table)}`
})

/** Dead letters of ordering key `key`, put there by the owner; the first blocks it. */
const putDead = Effect.fnUntraced(function*(key: string, count: number) {
  const sql = yield* SqlClient
  const rows = yield* sql<{ id: string }>`
    INSERT INTO ${
    sql(schema)
  }.outbox (id, correlation_id, event_type, event_data, status, attempts, died_at, ordering_key, blocks)
    SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{"dealId":"d","title":"t"}', 'dead', 5, now() - interval '1 hour', ${key}, n = 1
    FROM generate_series(1, ${count}::int) AS n RETURNING id`
  return rows.map(({ id }) => id)
})

layer(layerDatabase, { excludeTestServices: true })("what it is for is allowed", (it) => {
  it.effect("to an emitter: one event, a key, a deduplication key, a delay, and a transaction of its own", () =>
    Effect.gen(function*() {
      const ids = yield* Effect.provide(
        Effect.gen(function*() {
          const { write } = yield* OutboxWriter
          const dedupeKey = randomUUID()
          const first = yield* emitDeal({ dedupeKey })
          assert.strictEqual(yield* emitDeal({ dedupeKey }), first)
          const event = yield* DealMade.make({ dealId: "d", title: "t" })
          return [
            first,
            yield* emitDeal(),
            yield* emitDeal({ orderingKey: "k" }),
            yield* emitDeal({ orderingKey: "k", delay: "1 hour" }),
            yield* write(event, { correlationId: randomUUID() })
          ]
        }),
        toLog("emitter"),
        { local: true }
      )
      for (const id of ids) assert.strictEqual(yield* statusOf(id), "pending")
    }))

  it.effect("to an emitter: asking what became of a COMMIT that got no answer", () =>
    Effect.gen(function*() {
      const proxy = yield* startProxy(yield* urlOf("emitter"))
      const through = PgClient.layer({ url: Redacted.make(proxy.url), maxConnections: 2 })
      yield* Effect.gen(function*() {
        proxy.cutAt("COMMIT", "answered")
        const id = yield* emitDeal()
        proxy.cutAt("COMMIT", "unheard")
        assert.strictEqual((yield* Effect.flip(emitDeal()))._tag, "SqlError")
        assert.isDefined(id)
      }).pipe(
        Effect.provide(
          Layer.fresh(emittingTo().pipe(Layer.provide(FakePublisher.layer), Layer.provideMerge(through))),
          { local: true }
        )
      )
    }))

  it.effect("to an emitter: modes direct and shadow with a destination elsewhere; the worker and the reader see both ways", () =>
    Effect.gen(function*() {
      yield* emptyOutbox
      const sql = yield* SqlClient
      yield* Effect.provide(
        Effect.gen(function*() {
          const fake = yield* FakePublisher
          yield* emitDeal()
          yield* emitDeal({ orderingKey: "k" })
          assert.lengthOf(fake.calls, 2)
          // What failed at first and is published by a second try replaces its record.
          const id = randomUUID()
          fake.respond = () => Effect.fail(new Permanent({ reason: "no" }))
          yield* Effect.flip(emitDeal({ id }))
          fake.respond = () => Effect.void
          yield* emitDeal({ id })
        }),
        elsewhere("emitter", { modes: { "deal.made": "shadow" } }),
        { local: true }
      )
      yield* eventually(Effect.map(
        sql<{ error: string | null }>`SELECT error FROM ${sql(schema)}.shadow_deliveries`,
        (rows) => rows.length === 3 && rows.every(({ error }) => error === null)
      ))
      const direct = elsewhere("emitter", { modes: { "deal.made": "direct" } })
      yield* Effect.provide(emitDeal(), direct, { local: true })
      const worked = Effect.flatMap(OutboxProcessor, ({ drain }) => drain)
      assert.deepInclude(yield* Effect.provide(worked, elsewhere("worker"), { local: true }), { delivered: 3 })
      const [report] = yield* Effect.flatMap(RolloutReport, ({ report }) => report()).pipe(
        Effect.provide(RolloutReport.layer.pipe(Layer.provide(layerAs("reader"))), { local: true })
      )
      assert.strictEqual(report?.matched, 3)
    }))

  it.effect("to a program with both rights: the event store, snapshots, and modes that write to the log at once", () =>
    Effect.gen(function*() {
      yield* emptyOutbox
      const program = Effect.gen(function*() {
        const { execute, load, transact } = yield* EventStore
        const counter = randomUUID()
        const Snapshots = counterWithSnapshots(1)
        yield* execute(Snapshots, counter, { add: 1, times: 12 })
        yield* execute(Snapshots, counter, { add: 1, times: 12 })
        assert.strictEqual((yield* load(Snapshots, counter)).state, 24)
        yield* transact(execute(Counter, counter, { take: 4 }))
        yield* emitDeal()
        const { drain } = yield* OutboxProcessor
        yield* drain
      })
      yield* Effect.provide(program, toLog("both"), { local: true })
      yield* Effect.provide(program, toLog("both", { modes: { "*": "shadow" } }), { local: true })
      yield* Effect.provide(program, toLog("both", { modes: { "*": "direct" } }), { local: true })
      yield* Effect.provide(emitDeal(), toLog("both", { enabled: false }), { local: true })
    }))

  it.effect("to a program with both rights: personal fields, and forgetting them", () =>
    Effect.gen(function*() {
      const Joined = EventDefinition.make("customer.joined", {
        aggregateType: "customer",
        subject: (customer) => customer.id,
        payload: Schema.Struct({ id: Schema.String, name: Personal.field(Schema.String) })
      })
      yield* Effect.gen(function*() {
        const { write } = yield* EventStore
        const { forget } = yield* SubjectKeys
        const id = randomUUID()
        const event = yield* Joined.make({ id, name: "Ada" })
        yield* write({ aggregateType: "customer", aggregateId: id }, "noStream", [event])
        yield* forget(id)
      }).pipe(Effect.provide(toLog("both"), { local: true }))
    }))

  it.effect("to a worker: the entries of routes, and its own report", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* emptyOutbox
      yield* sql`TRUNCATE ${sql(schema)}.samples`
      const route = fakeRoute("a route")
      yield* Effect.provide(emitDeal({ orderingKey: "k" }), toLog("emitter"), { local: true })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* (yield* OutboxProcessor).start
        yield* eventually(Effect.sync(() => route.arrived.length === 1))
        yield* eventually(Effect.map(
          sql`SELECT FROM ${sql(schema)}.samples WHERE kind = 'emitted' AND value > 0`,
          (rows) => rows.length > 0
        ))
      })).pipe(
        Effect.provide(toLog("worker").pipe(Layer.provide(Layer.succeed(Routes, [{ to: route.to }]))), { local: true })
      )
      const { to } = fakeRoute("another")
      yield* Effect.provide(emitDeal(), toLog("emitter"), { local: true })
      const predicated = Layer.succeed(Routes, [{ to, when: () => true }])
      yield* Effect.flatMap(OutboxProcessor, ({ drain }) => drain).pipe(
        Effect.provide(elsewhere("worker").pipe(Layer.provide(predicated)), { local: true })
      )
      assert.lengthOf(
        yield* sql`SELECT FROM ${sql(schema)}.outbox WHERE destination = 'another' AND status = 'delivered'`,
        1
      )
    }))

  it.effect("to a worker: deleting what is old, from every table, and letting keys forward", () =>
    Effect.gen(function*() {
      yield* emptyOutbox
      const sql = yield* SqlClient
      const old = sql`now() - interval '100 days'`
      const entry = (status: string, columns: string, values: string) =>
        sql.unsafe(`INSERT INTO "${schema}".outbox (id, correlation_id, status, created_at, next_attempt_at, ${columns})
          VALUES (gen_random_uuid(), gen_random_uuid(), '${status}', now() - interval '100 days', now() - interval '100 days', ${values})`)
      const hundred = "now() - interval '100 days'"
      yield* entry("delivered", "delivered_at", hundred)
      yield* entry("dead", "died_at, ordering_key, blocks", `${hundred}, 'k', true`)
      yield* entry("dead", "died_at, discarded_at", `${hundred}, ${hundred}`)
      yield* entry("delivered", "delivered_at", "NULL")
      yield* entry("pending", "ordering_key", "'held up'")
      yield* sql`UPDATE ${sql(schema)}.outbox SET waits_for = 'key' WHERE ordering_key = 'held up'`
      yield* sql`INSERT INTO ${sql(schema)}.inbox (id, event_id, consumer_id, processed_at)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'c', ${old})`
      yield* sql`INSERT INTO ${sql(schema)}.outbox_attempts (entry_id, attempt, destination, ended_at, outcome)
        VALUES (gen_random_uuid(), 1, 'd', ${old}, 'failed')`
      yield* sql`INSERT INTO ${sql(schema)}.dedupe_keys (event_type, dedupe_key, entry_id, until)
        VALUES ('t', 'k', gen_random_uuid(), ${old})`
      const age = Duration.days(60)
      const counts = yield* Effect.flatMap(Maintenance, ({ runOnce }) => runOnce).pipe(
        Effect.provide(
          toLog("worker", {
            retentionDelivered: age,
            retentionDead: age,
            retentionAttempts: age,
            retentionInbox: Duration.days(70)
          }),
          { local: true }
        )
      )
      const expected = { delivered: 2, dead: 1, discarded: 1, inbox: 1, attempts: 1, dedupeKeys: 1, letForward: 1 }
      assert.deepStrictEqual(Option.getOrUndefined(counts), expected)
    }))

  it.effect("to a worker: redriving more dead letters than one transaction takes, discarding, unblocking, pausing", () =>
    Effect.gen(function*() {
      yield* emptyOutbox
      yield* Effect.forEach(["a", "b", "c"], (key) => putDead(key, 2), { discard: true })
      const [looked = ""] = yield* putDead("many", 1100)
      yield* Effect.gen(function*() {
        const dead = yield* DeadLetters
        const keys = yield* BlockedKeys
        const by = { by: "me" }
        yield* dead.inspect(looked)
        assert.lengthOf((yield* keys.list()).keys, 4)
        assert.strictEqual((yield* dead.dryRun({ key: "a" }, [DealMade])).ready, 2)
        assert.lengthOf(yield* keys.unblock("a", by), 1)
        yield* keys.discardHead("b", by)
        assert.strictEqual(yield* dead.discard({ key: "c" }, by), 2)
        assert.strictEqual(yield* dead.redrive({ key: "many" }, by), 1100)
        const flow = yield* FlowControl
        assert.isTrue(yield* flow.pause({ destination: "the test's destination" }, { by: "me" }))
        assert.isTrue(yield* flow.resume({ destination: "the test's destination" }, { by: "me" }))
      }).pipe(Effect.provide(elsewhere("worker"), { local: true }))
    }))

  it.effect("to a worker: projections, what they park, and rebuilding them", () =>
    Effect.gen(function*() {
      const counter = randomUUID()
      yield* Effect.provide(
        Effect.flatMap(EventStore, ({ execute }) => execute(Counter, counter, { add: 13, times: 2 })),
        toLog("both"),
        { local: true }
      )
      const projection = Projection.make({
        name: "parking",
        onFailure: "park",
        reset: Effect.void,
        handlers: [Projection.on(Added, ({ data }) => data.by === 13 ? Effect.fail("no") : Effect.void)]
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const db = yield* Database.make
        const subscription = Projection.subscriptionOf(projection)
        const parked = Effect.map(listParked(db, subscription), (rows) => rows.length)
        yield* Effect.forkScoped(runProjection(projection, { pollInterval: "20 millis" }))
        yield* eventually(Effect.map(parked, (count) => count === 2))
        assert.isAbove(yield* retryParked(db, subscription, "all"), 0)
        yield* ProjectionCatalog.requestRebuild("parking")
        yield* eventually(Effect.map(ProjectionCatalog.list("parking"), ([state]) =>
          state !== undefined && !state.resetRequested && state.status === "live" && state.parked === 2))
        assert.strictEqual(yield* discardParked(db, subscription, "all"), 2)
      })).pipe(Effect.provide(layerAs("worker"), { local: true }))
    }))

  it.effect("to a reader: dead letters, their history, keys, pauses, projections, and the commands that show them", () =>
    Effect.gen(function*() {
      yield* emptyOutbox
      const [id = ""] = yield* putDead("a", 2)
      yield* Effect.gen(function*() {
        const dead = yield* DeadLetters
        assert.strictEqual(yield* dead.count(), 2)
        yield* dead.list()
        yield* dead.groups("type")
        yield* dead.inspect(id)
        yield* dead.dryRun({ key: "a" }, [DealMade])
        assert.lengthOf((yield* (yield* BlockedKeys).list()).keys, 1)
        yield* (yield* FlowControl).paused
        yield* ProjectionCatalog.list()
      }).pipe(Effect.provide(elsewhere("reader"), { local: true }))
      const env = { OUTBOX_SCHEMA: schema, DATABASE_URL: yield* urlOf("reader") }
      for (const command of ["dead list", `dead show ${id}`, "keys blocked", "projections list", "rollout report"]) {
        const shown = yield* run(command, env)
        assert.strictEqual(shown.code, 0, `${command}: ${shown.stderr}`)
      }
      const refused = yield* run("keys unblock a", env)
      assert.match(refused.stderr, /^zakops: .*permission denied.*\n$/)
      assert.strictEqual(refused.code, 1)
    }))
})
