/** The workers that there are, and the samples of what they do. On a virtual clock. */
import { assert, layer } from "@effect/vitest"
import { Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { Maintenance, Samples, Workers } from "@zakops/outbox"
import { version } from "@zakops/outbox/version"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { FakePublisher, startAfresh } from "../support/FakePublisher.ts"
import { emitDeals, entries, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.mergeAll(Workers.layer, Samples.layer).pipe(
  Layer.provideMerge(services({ batchSize: 10, publishTimeout: Duration.hours(1) })),
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

const destination = "the test's destination"

layer(Live)("workers", (it) => {
  const list = Effect.flatMap(Workers, ({ list }) => list)

  it.effect("are on the list as long as they run, with what they do", () =>
    Effect.gen(function*() {
      const { fake, start } = yield* startAfresh
      yield* TestClock.setTime(1_000_000)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* start
        yield* eventually(Effect.map(list, (workers) => workers.length === 1))
        const [worker] = yield* list
        assert.deepInclude(worker, {
          destination,
          route: false,
          version,
          alive: true,
          breaker: "closed",
          holding: 0,
          delivered: 0
        })
        assert.deepStrictEqual(worker?.startedAt, new Date(1_000_000))

        yield* emitDeals(20)
        yield* eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status === "delivered")))
        // Listening begins when the connection is there, which takes real time.
        yield* eventually(Effect.gen(function*() {
          yield* TestClock.adjust("5 seconds")
          const [worker] = yield* list
          return worker?.delivered === 20 && worker.listener === "listening"
        }))
        const [busy] = yield* list
        assert.isAbove(busy?.perSecond ?? 0, 0)
        assert.strictEqual(busy?.share, 1)

        fake.respond = () => Effect.fail(new TransportDown({ reason: "no" }))
        yield* emitDeals(1)
        yield* eventually(Effect.sync(() => fake.calls.length > 20))
        yield* eventually(Effect.gen(function*() {
          yield* TestClock.adjust("5 seconds")
          return (yield* list)[0]?.breaker === "open"
        }))
      }))
      assert.deepStrictEqual(yield* list, [])
    }))

  it.effect("share what is delivered to their destination, as far as they are alive", () =>
    Effect.gen(function*() {
      yield* startAfresh
      yield* TestClock.setTime(1_000_000)
      const sql = yield* SqlClient
      const at = (name: string, seen: number, perSecond: number, route = false) =>
        sql`INSERT INTO zakops.workers (id, name, destination, route, version, started_at, seen_at, listener, breaker, per_second)
          VALUES (${randomUUID()}, ${name}, ${route ? "a route" : "the log"}, ${route}, '0', ${new Date(
          seen
        )}, ${new Date(seen)},
            'polling', 'closed', ${perSecond}::float8)`
      yield* at("gone", 980_000, 100)
      yield* at("a", 990_000, 10)
      yield* at("b", 991_000, 30)
      yield* at("c", 999_000, 0, true)
      const seen = (yield* list).map(({ alive, name, share }) => ({ name, alive, share }))
      assert.deepStrictEqual(seen, [
        { name: "gone", alive: false, share: null },
        { name: "a", alive: true, share: 0.25 },
        { name: "b", alive: true, share: 0.75 },
        { name: "c", alive: true, share: null }
      ])
      yield* TestClock.adjust("41 seconds")
      yield* (yield* Maintenance).runOnce
      assert.deepStrictEqual((yield* list).map(({ name }) => name), ["a", "b", "c"])
    }))

  it.effect("report the version of their package", () =>
    Effect.sync(() => {
      const json: unknown = JSON.parse(
        readFileSync(join(import.meta.dirname, "../../packages/outbox/package.json"), "utf8")
      )
      assert.deepInclude(json, { version })
    }))
})

const reportedAt = Effect.gen(function*() {
  const sql = yield* SqlClient
  const [worker] = yield* sql<{ at: Date }>`SELECT seen_at AS at FROM zakops.workers`
  return worker?.at.getTime()
})

layer(Live)("samples", (it) => {
  it.effect("tell what was emitted and what became of it, step by step", () =>
    Effect.gen(function*() {
      const { fake, start } = yield* startAfresh
      const samples = yield* Samples
      yield* TestClock.setTime(10_000_000)
      const from = new Date(10_000_000)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* start
        yield* eventually(
          Effect.map(samples.range(from, new Date(10_020_000), "10 seconds"), ({ series }) => series.length > 0)
        )
        // Each report has read what there was, before there is more.
        for (const time of [10_005_000, 10_010_000]) {
          yield* TestClock.adjust("5 seconds")
          yield* eventually(Effect.map(reportedAt, (at) => at === time))
        }
        fake.respond = ({ headers }) =>
          headers["is"] === "failing"
            ? Effect.fail(new Transient({ reason: "later" }))
            : headers["is"] === "dying"
            ? Effect.fail(new Permanent({ reason: "never" }))
            : Effect.void
        yield* emitDeals(7)
        yield* emitDeals(1, { headers: { is: "failing" } })
        yield* emitDeals(1, { headers: { is: "dying" } })
        yield* eventually(Effect.map(entries, (rows) => rows.every(({ attempts }) => attempts === 1)))
        yield* eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status !== "processing")))
      }))
      // The last report comes with the stop.
      const { series, step, times } = yield* samples.range(from, new Date(10_020_000), "9 seconds")
      assert.strictEqual(step, 10_000)
      assert.deepStrictEqual(times, [from, new Date(10_010_000)])
      assert.deepStrictEqual(series.filter(({ kind }) => kind !== "emitted"), [
        { kind: "delivered", destination, values: [0, 7] },
        { kind: "failed", destination, values: [0, 1] },
        { kind: "dead", destination, values: [0, 1] }
      ])
      assert.deepStrictEqual(series.find(({ kind }) => kind === "emitted")?.values, [0, 9])
      // In one step all the same.
      const whole = yield* samples.range(from, new Date(10_020_000), "1 hour")
      assert.deepStrictEqual(whole.series.find(({ kind }) => kind === "delivered")?.values, [7])
    }))

  it.effect("refuse a range that is none, or has too many steps", () =>
    Effect.gen(function*() {
      const { range } = yield* Samples
      const noon = new Date(1_000_000_000)
      assert.strictEqual((yield* Effect.flip(range(noon, noon, "1 minute"))).message, "to is not after from")
      const long = yield* Effect.flip(range(new Date(0), noon, "10 seconds"))
      assert.include(long.message, "makes 100000 steps of the range")
      assert.include((yield* Effect.flip(range(new Date(NaN), noon, "10 seconds"))).message, "from is no time")
    }))

  it.effect("are kept for a day", () =>
    Effect.gen(function*() {
      yield* startAfresh
      yield* TestClock.setTime(200_000_000)
      const sql = yield* SqlClient
      for (const age of [1, 23, 25]) {
        yield* sql`INSERT INTO zakops.samples VALUES (${new Date(200_000_000 - age * 3_600_000)}, 'd', 'delivered', 1)`
      }
      yield* (yield* Maintenance).runOnce
      assert.lengthOf(yield* sql`SELECT FROM zakops.samples`, 2)
    }))
})
