/** Rebuilds of projections: refused, withdrawn, in place, and of versions that were replaced. */
import { assert, layer } from "@effect/vitest"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import { run } from "@zakops/event-store/runProjection"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { Added } from "../support/counter.ts"
import { emptyTables, eventually } from "../support/outbox.ts"
import { happen, hasCaughtUp, isLive, OnLog, stateOf } from "../support/projections.ts"

const quick = { pollInterval: "20 millis", batchSize: 5 } as const

layer(OnLog, { excludeTestServices: true })("a rebuild", (it) => {
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
      const sql = yield* SqlClient
      const latch = yield* Latch.make(true)
      const handled: Array<number> = []
      const make = (version: number) =>
        Projection.make({
          name: "versions",
          version,
          reset: Effect.void,
          handle: (events) => Effect.andThen(Effect.sync(() => handled.push(...events.map(() => version))), latch.await)
        })
      // The first version's own time, which passes while it is waited for: its lag is measured every 5 s.
      const time = yield* TestClock.make()
      const passing = <E, R>(self: Effect.Effect<boolean, E, R>) =>
        eventually(Effect.andThen(time.adjust("1 second"), self))
      yield* Effect.forkScoped(Effect.provideService(run(make(1), quick), Clock.Clock, time))
      yield* passing(hasCaughtUp("versions", 1))
      yield* latch.close
      yield* ProjectionCatalog.requestRebuild("versions", 1)
      yield* passing(
        Effect.map(stateOf("versions"), ({ position, status }) => status === "building" && position === 0n)
      )
      assert.deepStrictEqual(yield* ProjectionCatalog.liveVersion("versions"), Option.some(1))
      yield* latch.open
      yield* passing(hasCaughtUp("versions", 1))
      // Nothing to be switched to: asked of the live one, it is not kept for later.
      yield* ProjectionCatalog.requestSwitch("versions", 1)
      yield* Effect.forkScoped(run(make(2), quick))
      yield* eventually(hasCaughtUp("versions", 2))
      assert.strictEqual((yield* stateOf("versions", 1)).status, "retired")
      const refused = yield* Effect.flip(ProjectionCatalog.requestRebuild("versions", 1))
      assert.include(refused.message, "was replaced by another one")

      // As if it had been asked for just before. That it is done tells that the runner knows of its retirement: it is at the start now.
      yield* sql`UPDATE zakops.projections SET reset_requested = true WHERE name = 'versions' AND version = 1`
      yield* passing(
        Effect.map(stateOf("versions", 1), ({ position, resetRequested }) => !resetRequested && position === 0n)
      )
      handled.length = 0
      yield* happen(randomUUID(), 1, 2, 3)
      yield* eventually(hasCaughtUp("versions", 2))
      const lag = Effect.map(
        Metric.snapshot,
        (metrics) =>
          metrics.find(({ attributes, id }) =>
            id === "zakops.subscription.lag.events" && attributes?.["subscription"] === "projection versions v1"
          ) ?? assert.fail("it was not measured")
      )
      // No measurement gives that: the next one is seen by its going.
      const { attributes, description, id } = yield* lag
      yield* Metric.update(Metric.withAttributes(Metric.gauge(id, { description }), attributes ?? {}), -1)
      assert.deepInclude((yield* lag).state, { value: -1 })
      yield* passing(Effect.map(lag, ({ state }) => (state as { readonly value: number }).value !== -1))
      assert.deepInclude((yield* lag).state, { value: 0 })
      assert.deepStrictEqual(handled, [2, 2, 2])
    })))
})
