/**
 * Maintenance and readers as singletons of effect/cluster, with its real sharding on Postgres: two runners, of which one goes away and the
 * other takes over.
 */
import { assert, layer } from "@effect/vitest"
import { MaintenanceSingleton, ReaderSingleton } from "@zakops/cluster"
import * as Subscription from "@zakops/event-store/Subscription"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { EventPublisher, TransportDown } from "@zakops/events/EventPublisher"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { OutboxConfig } from "@zakops/outbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as RunnerHealth from "effect/cluster/RunnerHealth"
import * as Runners from "effect/cluster/Runners"
import * as Sharding from "effect/cluster/Sharding"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

/** A runner of the cluster: its shards are locked in the database; no messages are sent. */
const sharding = (port: number) =>
  Sharding.layer.pipe(
    Layer.provide(Runners.layerNoop),
    Layer.provide(MessageStorage.layerNoop),
    Layer.provide(SqlRunnerStorage.layer),
    Layer.provide(RunnerHealth.layerNoop),
    Layer.provide(ShardingConfig.layer({
      runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port)),
      shardsPerGroup: 8,
      refreshAssignmentsInterval: Duration.millis(200),
      shardLockRefreshInterval: Duration.millis(500),
      shardLockExpiration: Duration.seconds(5)
    }))
  )

const nowhere = Layer.succeed(EventPublisher, {
  _tag: "External",
  destination: "nowhere",
  publish: () => Effect.fail(new TransportDown({ reason: "nothing is delivered here" }))
})

const outbox = OutboxLive.layerServices.pipe(
  Layer.provide(OutboxConfig.layerWith({ maintenanceInterval: Duration.seconds(1) })),
  Layer.provide(nowhere)
)

interface Seen {
  readonly running: Set<string>
  most: number
  failures: number
}

/** A reader that says where it runs, and fails the first time. */
const reader = (seen: Seen, runner: string) =>
  Effect.gen(function*() {
    seen.running.add(runner)
    seen.most = Math.max(seen.most, seen.running.size)
    if (seen.failures++ === 0) return yield* Effect.fail("the first time")
    return yield* Effect.never
  }).pipe(Effect.ensuring(Effect.sync(() => seen.running.delete(runner))))

const Counted = EventDefinition.make("counted", { payload: Schema.Struct({ n: Schema.Int }) })

/** A consumer over a subscription, whose rows say where it runs. */
const counting = (runner: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    return yield* Consumer.run({
      consumerId: "counts",
      source: yield* Subscription.make("counts"),
      handlers: [Consumer.on(Counted, ({ data }) => sql`INSERT INTO counts (n, runner) VALUES (${data.n}, ${runner})`)]
    })
  })

const runner = (port: number, seen: Seen) =>
  Layer.fresh(
    Layer.mergeAll(
      MaintenanceSingleton.layer(),
      ReaderSingleton.layer("totals", reader(seen, String(port)), { restartAfter: "50 millis" }),
      ReaderSingleton.layer("counts", counting(String(port)), { restartAfter: "50 millis" })
    ).pipe(Layer.provide(sharding(port)), Layer.provide(outbox), Layer.provide(InboxGuard.layer))
  )

layer(TestDatabase.layer, { excludeTestServices: true })("singletons of a cluster", (it) => {
  it.effect("run at one runner, and at another when that is gone", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE counts (n int, runner text)`
      const counts = sql<{ n: number; runner: string }>`SELECT n, runner FROM counts ORDER BY n`
      const log = (n: number) =>
        sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, schema_version, event_data)
          VALUES (${randomUUID()}, ${randomUUID()}, 'counted', 1, ${JSON.stringify({ n })}::jsonb)`
      const seen: Seen = { running: new Set(), most: 0, failures: 0 }
      const scopes = new Map<string, Scope.Closeable>()
      for (const port of [34431, 34432]) {
        const scope = yield* Scope.fork(yield* Effect.scope)
        scopes.set(String(port), scope)
        yield* Layer.build(runner(port, seen)).pipe(Scope.provide(scope))
      }
      const maintained = Effect.map(
        sql<
          { at: Date }
        >`SELECT finished_at AS at FROM zakops.tasks WHERE name = 'maintenance' AND finished_at IS NOT NULL`,
        ([row]) => row?.at.getTime() ?? 0
      )
      yield* eventually(Effect.sync(() => seen.running.size === 1 && seen.failures > 1))
      yield* eventually(Effect.map(maintained, (at) => at > 0))

      yield* log(1)
      yield* eventually(Effect.map(counts, (rows) => rows.length === 1))

      const [first = ""] = seen.running
      const before = yield* maintained
      const scope = scopes.get(first)
      if (scope !== undefined) yield* Scope.close(scope, Exit.void)
      yield* eventually(Effect.sync(() => seen.running.size === 1 && !seen.running.has(first)))
      yield* eventually(Effect.map(maintained, (at) => at > before))
      assert.strictEqual(seen.most, 1, "never at two at once")
      yield* log(2)
      yield* eventually(Effect.map(counts, (rows) => rows.length > 1))
      const rows = yield* counts
      assert.deepStrictEqual(rows.map(({ n }) => n), [1, 2])
      assert.notStrictEqual(rows[1]?.runner, first)
    }).pipe(Effect.scoped))
})
