/** Every metric that there is, from a life in which everything happens once; and what an outbox is, read from the database. */
import { assert, layer } from "@effect/vitest"
import { Transient } from "@zakops/events/EventPublisher"
import { Measured } from "@zakops/events/Tracing"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { Maintenance } from "@zakops/outbox"
import { DatabaseMetrics, Health, metrics, Prometheus, prometheusName } from "@zakops/telemetry"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { startAfresh } from "../support/FakePublisher.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { claim, emitDeals, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.mergeAll(
  // An attempt may outlive its lease: a run of a single batch renews none.
  services({ retentionDelivered: Duration.days(1), publishTimeout: Duration.hours(1) }),
  InboxGuard.layer,
  DatabaseMetrics.layerIdle
).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

const aFresh = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(self, Metric.MetricRegistry, new Map()))

const line = /^([a-z_]+)(?:\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*)\})? (\S+)$/

/** The values of a scrape, by `name{labels}`. Fails on a line that is none of the format. */
const parse = (text: string) => {
  const values = new Map<string, number>()
  const types = new Map<string, string>()
  for (const one of text.trimEnd().split("\n")) {
    const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(one) ?? []
    if (name !== undefined && type !== undefined) types.set(name, type)
    if (one.startsWith("#")) continue
    const [, metric, labels = "", value] = line.exec(one) ?? assert.fail(`no line of the format: ${one}`)
    values.set(`${metric}{${labels}}`, Number(value))
  }
  return { values, types }
}

const checkpoint = (subscription: string) =>
  Effect.flatMap(
    SqlClient,
    (sql) =>
      sql`INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at) VALUES (${subscription}, '0', 0, now())`
  )

const emptyReaders = Effect.flatMap(SqlClient, (sql) => sql`TRUNCATE zakops.checkpoints, zakops.workers`)

layer(Live)("the metrics", (it) => {
  it.effect("all show after a life in which everything happens, under the names of the conventions", () =>
    aFresh(
      Effect.gen(function*() {
        const { fake, runOnce, start } = yield* startAfresh
        const guard = yield* InboxGuard
        yield* emptyReaders
        yield* emitDeals(1)
        yield* runOnce
        fake.respond = () => new Transient({ reason: "busy" })
        yield* emitDeals(1)
        yield* runOnce
        fake.respond = () => Effect.void
        yield* emitDeals(1)
        yield* claim(1, Duration.seconds(30))
        yield* TestClock.adjust("31 seconds")
        yield* runOnce
        yield* Effect.scoped(start)
        const delivery = { eventId: randomUUID(), consumerId: "mailer" }
        yield* guard.once(delivery, Effect.void)
        yield* guard.once(delivery, Effect.void)
        const handled = yield* Deferred.make<void>()
        const envelope = fake.calls[0] ?? assert.fail("nothing was published")
        const consumer = yield* Effect.forkChild(Consumer.run({
          consumerId: "reader",
          source: {
            name: "a queue",
            consume: (handle) =>
              Effect.andThen(
                Effect.catchTag(handle([envelope]), "SetAside", Effect.die),
                Effect.andThen(Deferred.succeed(handled, void 0), Effect.never)
              )
          },
          handlers: [Consumer.on(DealMade, () => Effect.void)]
        }))
        yield* Deferred.await(handled)
        yield* Fiber.interrupt(consumer)
        yield* TestClock.adjust("2 days")
        yield* (yield* Maintenance).runOnce
        yield* checkpoint("mails")
        yield* (yield* DatabaseMetrics).refresh

        const { types, values } = parse(yield* Prometheus.format)
        assert.deepStrictEqual([...types.keys()].toSorted(), metrics.map(({ id }) => prometheusName(id)).toSorted())
        for (const [name, type] of types) {
          assert.strictEqual(name.endsWith("_total"), type === "counter", name)
        }
        const destination = `destination="the test's destination"`
        const expected: Record<string, number> = {
          [`zakops_outbox_attempts_total{${destination},outcome="delivered"}`]: 2,
          [`zakops_outbox_attempts_total{${destination},outcome="retried"}`]: 2,
          [`zakops_outbox_lease_expirations_total{${destination}}`]: 1,
          [`zakops_outbox_delivery_latency_seconds_count{${destination}}`]: 2,
          [`zakops_inbox_deliveries_total{consumer="mailer",outcome="skipped"}`]: 1,
          [`zakops_retention_deleted_total{table="outbox"}`]: 2,
          [`zakops_listener_connected{channel="zakops_outbox"}`]: 0,
          [`zakops_destination_up{${destination}}`]: 1,
          "zakops_database_up{}": 1,
          [`zakops_outbox_entries{state="pending"}`]: 1,
          [`zakops_subscription_parked{subscription="mails"}`]: 0
        }
        for (const [name, value] of Object.entries(expected)) assert.strictEqual(values.get(name), value, name)
      }).pipe(Effect.provideService(Measured, true))
    ))

  it.effect("count what a fenced worker settles in vain, apart from what the other has settled", () =>
    aFresh(Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const called = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      fake.respond = () => Effect.andThen(Deferred.succeed(called, void 0), Deferred.await(answer))
      yield* emitDeals(1)
      const slow = yield* Effect.forkChild(runOnce)
      yield* Deferred.await(called)
      const attempts = Effect.map(
        Prometheus.format,
        (text) =>
          [...parse(text).values].filter(([name, value]) =>
            name.startsWith("zakops_outbox_attempts_total{") && value > 0
          )
      )
      const counted = (outcome: string) =>
        `zakops_outbox_attempts_total{destination="the test's destination",outcome="${outcome}"}`

      // Its lease runs out, and another takes the entry over and delivers it.
      yield* TestClock.adjust("31 seconds")
      yield* runOnce
      fake.respond = () => Effect.void
      yield* TestClock.adjust("5 seconds")
      yield* runOnce
      const before = [[counted("retried"), 1], [counted("delivered"), 1]]
      assert.sameDeepMembers(yield* attempts, before)
      yield* Deferred.succeed(answer, void 0)
      yield* Fiber.join(slow)
      assert.sameDeepMembers(yield* attempts, [...before, [counted("fenced"), 1]])
    })))

  it.effect("of the database say what waits, and forget what is not there any more", () =>
    aFresh(Effect.gen(function*() {
      yield* startAfresh
      yield* emptyReaders
      const sql = yield* SqlClient
      const { latest, refresh } = yield* DatabaseMetrics
      yield* emitDeals(3)
      yield* checkpoint("mails")
      yield* TestClock.adjust("90 seconds")
      yield* refresh
      const read = Effect.map(Prometheus.format, (text) => parse(text).values)
      const before = yield* read
      assert.strictEqual(before.get(`zakops_destination_oldest_pending_age_seconds{destination="main"}`), 90)
      assert.strictEqual(before.get(`zakops_destination_entries{destination="main",state="pending"}`), 3)
      assert.strictEqual(before.get(`zakops_destination_workers{destination="main"}`), 0)
      assert.deepInclude(yield* latest, { value: { oldestPendingAge: 90, at: 90_000 + (yield* startOfTest) } })
      yield* sql`DELETE FROM zakops.checkpoints`
      yield* sql`INSERT INTO zakops.agent_events (id, event_type) VALUES (gen_random_uuid(), 'a')`
      yield* sql`UPDATE zakops.outbox SET ordering_key = 'k', status = 'dead', blocks = true, died_at = created_at WHERE seq = (SELECT max(seq) FROM zakops.outbox)`
      yield* refresh
      const after = yield* read
      assert.strictEqual(after.get(`zakops_subscription_lag_events{subscription="mails"}`), 0)
      assert.strictEqual(after.get("zakops_outbox_blocked_keys{}"), 1)
      assert.strictEqual(after.get(`zakops_destination_entries{destination="main",state="dead"}`), 1)
    })))

  it.effect("of the database take nothing of a replaced projection for lag", () =>
    aFresh(Effect.gen(function*() {
      yield* startAfresh
      yield* emptyReaders
      const sql = yield* SqlClient
      yield* sql`TRUNCATE zakops.projections`
      yield* sql`INSERT INTO zakops.agent_events (id, event_type) VALUES (gen_random_uuid(), 'a')`
      yield* sql`INSERT INTO zakops.projections (name, version, status, can_reset, created_at) VALUES ('report', 1, 'retired', true, now())`
      yield* checkpoint("projection report v1")
      yield* checkpoint("projection report v2")
      yield* (yield* DatabaseMetrics).refresh
      const { values } = parse(yield* Prometheus.format)
      const behind = (version: number) =>
        values.get(`zakops_subscription_lag_events{subscription="projection report v${version}"}`)
      assert.isUndefined(behind(1))
      assert.strictEqual(behind(2), 1)
    })))

  it.effect("say that the database is away, and keep what they knew", () =>
    aFresh(Effect.gen(function*() {
      const away = PgClient.layer({ url: Redacted.make("postgres://nobody@127.0.0.1:1/none") })
      const { latest, refresh } = yield* DatabaseMetrics
      yield* refresh
      const gone = yield* Effect.provide(
        Effect.gen(function*() {
          const { refresh } = yield* DatabaseMetrics
          yield* refresh
          return parse(yield* Prometheus.format).values
        }),
        Layer.fresh(DatabaseMetrics.layerIdle).pipe(Layer.provide(Layer.fresh(away)))
      )
      assert.strictEqual(gone.get("zakops_database_up{}"), 0)
      assert.isDefined(gone.get(`zakops_outbox_entries{state="pending"}`))
      assert.strictEqual((yield* latest)._tag, "Some")
    })))
})

const startOfTest = Effect.map(Effect.clockWith((clock) => clock.currentTimeMillis), (now) => now - 90_000)

layer(Live)("readiness", (it) => {
  const health = (env: Record<string, string> = {}) =>
    Effect.provide(
      Effect.flatMap(Health, ({ ready }) => ready),
      Layer.fresh(Health.layer).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env }))))
    )

  it.effect("waits for the first look, and is there when nothing has been due for too long", () =>
    Effect.gen(function*() {
      yield* startAfresh
      const before = yield* Effect.provide(health(), Layer.fresh(DatabaseMetrics.layerIdle))
      assert.deepStrictEqual(before.checks.at(-1), { name: "lag", ok: false, detail: "not read yet" })
      const { refresh } = yield* DatabaseMetrics
      yield* refresh
      const { checks, ready } = yield* health()
      assert.isTrue(ready)
      assert.deepStrictEqual(checks.map(({ name, ok }) => ({ name, ok })), [
        { name: "connected", ok: true },
        { name: "migrated", ok: true },
        { name: "lag", ok: true }
      ])
    }))

  it.effect("ends when an entry has been due for longer than OUTBOX_READY_LAG, also while nothing is read", () =>
    Effect.gen(function*() {
      yield* startAfresh
      const { refresh } = yield* DatabaseMetrics
      yield* emitDeals(1)
      yield* TestClock.adjust("50 seconds")
      yield* refresh
      assert.isTrue((yield* health({ OUTBOX_READY_LAG: "60" })).ready)
      yield* TestClock.adjust("11 seconds")
      const { checks, ready } = yield* health({ OUTBOX_READY_LAG: "60" })
      assert.isFalse(ready)
      assert.strictEqual(checks.at(-1)?.detail, "the oldest entry has been due for 61 s, of 60 allowed")
      const bad = yield* Effect.flip(health({ OUTBOX_READY_LAG: "soon" }))
      assert.strictEqual(bad._tag, "InvalidSetting")
    }))

  it.effect("is not there without tables or without a database, and says which", () =>
    Effect.gen(function*() {
      const [bare] = (yield* Effect.provide(health(), layerSchemaName("nothing_here"))).checks
      assert.deepInclude(bare, { name: "migrated", ok: false })
      const away = PgClient.layer({ url: Redacted.make("postgres://nobody:secret@127.0.0.1:1/none") })
      const [gone] = (yield* Effect.provide(health(), Layer.fresh(away))).checks
      assert.deepInclude(gone, { name: "connected", ok: false })
      assert.notInclude(gone?.detail ?? "", "secret")
    }))
})
