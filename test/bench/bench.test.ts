/** The bench itself: what it counts, and how it judges. What it measures is not tested here. */
import { assert, describe, it } from "@effect/vitest"
import { atMost, either, figureNoWorse, judge, notAbove, times, timesEachPeer } from "@zakops/bench/Goal"
import { connect, measured } from "@zakops/bench/measure"
import type { Contestant, Race } from "@zakops/bench/Measurement"
import { median, narrowed, percentile, toResults } from "@zakops/bench/Measurement"
import { headingOf, merged, sectionsOf, toPage } from "@zakops/bench/page"
import { asText, summary } from "@zakops/bench/report"
import { runRace } from "@zakops/bench/runRace"
import * as Effect from "effect/Effect"
import { inject } from "vitest"

const contestant = (name: string, settings: Partial<Contestant> = {}): Contestant => ({
  name,
  settings: "",
  run: () => Effect.succeed(1),
  ...settings
})

const race = (settings: Partial<Race> = {}): Race => ({
  name: "a race",
  unit: "events/s",
  size: 100,
  quickSize: 10,
  contestants: [contestant("ours"), contestant("peer"), contestant("bound", { bound: true })],
  goals: [],
  ...settings
})

const samples = (...values: ReadonlyArray<number>) => values.map((value) => ({ value }))

describe("the results of a race", () => {
  it("are medians, and how often ours is as fast as another", () => {
    const [ours, peer] = toResults(race(), [samples(10, 30, 20), samples(5, 4, 9), samples(50, 50, 50)])
    assert.deepInclude(ours, { median: 20, ratio: 1 })
    assert.deepInclude(peer, { median: 5, ratio: 4 })
  })

  it("count the other way round where less is better", () => {
    const [, peer] = toResults(race({ better: "less" }), [samples(2), samples(6), samples(1)])
    assert.strictEqual(peer?.ratio, 3)
  })

  it("have the medians of the figures beside, where a round has them", () => {
    const own = [{ value: 1, figures: { "WAL bytes/event": 700 } }, { value: 1, figures: { "WAL bytes/event": 900 } }]
    const [ours] = toResults(race(), [own, samples(1), samples(1)])
    assert.deepStrictEqual(ours?.figures, { "WAL bytes/event": 800 })
  })

  it("know medians of odd and even counts, and percentiles", () => {
    assert.strictEqual(median([3, 1, 2]), 2)
    assert.strictEqual(median([4, 1, 2, 3]), 2.5)
    const hundred = Array.from({ length: 100 }, (_, n) => n + 1)
    assert.strictEqual(percentile(hundred, 0.5), 51)
    assert.strictEqual(percentile(hundred, 0.99), 100)
  })
})

describe("a goal", () => {
  const results = toResults(race(), [samples(200), samples(100), samples(1000)])

  it("is reached or not by the medians", () => {
    assert.deepInclude(judge(times("ours", "peer", 2), results), { measured: 2, reached: true })
    assert.deepInclude(judge(times("ours", "peer", 2.1), results), { reached: false })
    assert.isTrue(judge(notAbove("peer", "ours"), results).reached)
    assert.isFalse(judge(atMost("ours", 199, "ms"), results).reached)
  })

  it("leaves bounds alone unless it names one", () => {
    assert.deepInclude(judge(timesEachPeer(2), results), { measured: 2, reached: true })
    assert.isFalse(judge(times("ours", "bound", 0.7), results).reached)
  })

  it("is reached by either of two", () => {
    assert.isTrue(judge(either(times("ours", "bound", 0.7), times("ours", "peer", 2)), results).reached)
    assert.isFalse(judge(either(times("ours", "bound", 0.7), times("ours", "peer", 3)), results).reached)
  })

  it("compares figures with the best peer's", () => {
    const figures = [5, 4, 1].map((p99) => [{ value: 1, figures: { "p99 ms": p99 } }])
    const withFigures = toResults(race(), figures)
    assert.deepInclude(judge(figureNoWorse("p99 ms"), withFigures), { measured: 1.25, reached: false })
  })

  it("is not asked where whom it names does not run", () => {
    const goals = [times("ours", "peer", 2), times("ours", "bound", 2), timesEachPeer(1)]
    assert.lengthOf(narrowed(race({ goals }), "bound").goals, 2)
  })
})

const silent = { now: () => {}, done: () => {}, end: () => {} }
const options = { rounds: 1, quick: true, progress: silent }

describe("a run", () => {
  it.live("gives each contestant a database of its own each time, in turn, after a round that does not count", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const databases = new Set<string>()
      const noting = (name: string) =>
        contestant(name, {
          run: (url, size) =>
            Effect.sync(() => {
              seen.push(name)
              databases.add(url)
              return size * seen.length
            })
        })
      const ran = yield* runRace(
        race({ contestants: [noting("ours"), noting("peer")] }),
        inject("serverUrl"),
        options
      )
      assert.deepStrictEqual(seen, ["ours", "peer", "ours", "peer"])
      assert.strictEqual(databases.size, 4)
      assert.deepStrictEqual(ran.results.map(({ values }) => values), [[30], [40]])
    }))

  it.live("counts WAL and the row versions that died, for each event, and tells the goal", () =>
    Effect.gen(function*() {
      const updating = contestant("ours", {
        run: (url, size) =>
          Effect.gen(function*() {
            const client = yield* connect(url)
            yield* Effect.promise(() =>
              client.query(`CREATE TABLE t AS SELECT n FROM generate_series(1, ${size}) AS n`)
            )
            const twice = Effect.promise(async () => {
              await client.query("UPDATE t SET n = n + 1")
              await client.query("DELETE FROM t")
            })
            return { ...yield* measured(url, size, twice), count: size }
          })
      })
      const ran = yield* runRace(
        race({ contestants: [updating], goals: [atMost("ours", 0, "events/s")], quickSize: 200 }),
        inject("serverUrl"),
        options
      )
      const [ours] = ran.results
      assert.strictEqual(ours?.figures["dead tuples/event"], 2)
      assert.isAbove(ours?.figures["WAL bytes/event"] ?? 0, 50)
      assert.include(asText([ran]), "NOT reached: ours at most 0 events/s")
      assert.include(summary([ran]), "0 of 1 goals reached")
    }))
})

describe("the report", () => {
  const section = (race: string, text: string) => ({ heading: headingOf(race), text })
  const old = [
    section("drain", "a table\n\n- NOT reached: ours at least twice as fast: measured 1.5\n\nRun of Monday"),
    section("emit", "another\n\n- reached: ours at least as fast: measured 1.1\n\nRun of Monday")
  ]

  it("reads back the sections that it has written, and tells the goals of all", () => {
    const page = toPage("# Benchmarks", old)
    assert.deepStrictEqual(sectionsOf(page), old)
    assert.include(
      page,
      "## Goals\n\n1 of 2 goals reached\n- Drain: NOT reached: ours at least twice as fast: measured 1.5\n\n## Drain\n\na table"
    )
  })

  it("has what was measured last in its place, and keeps what was not measured again", () => {
    const drain = section("drain", "new")
    const order = section("order", "first")
    assert.deepStrictEqual(merged(old, [drain, order]), [drain, ...old.slice(1), order])
  })
})
