/** Several workers on one database, each in a process of its own; and how much memory one needs, by how much waits. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Goal } from "../../Goal.ts"
import { analyze, connect, untilTrue } from "../../measure.ts"
import type { Contestant, Race } from "../../Measurement.ts"
import { allFinished } from "../../ours/drain.ts"
import { layerExternal, ours, takesAll } from "../../ours/services.ts"
import { batchSettings } from "../../ours/worker.ts"
import { range } from "../../payload.ts"
import { workerProcess } from "../../workerProcess.ts"
import { putPending } from "./fill.ts"

const prepare = Effect.fnUntraced(function*(url: string, waiting: number) {
  // The tables.
  yield* Effect.scoped(ours(url, { publisher: layerExternal(takesAll(() => {})) }))
  const client = yield* connect(url)
  yield* putPending(client, waiting)
  yield* analyze(url)
})

const task = (url: string) => ({ worker: "zakops batches", url, times: false }) as const

const withProcesses = (count: number, name: string): Contestant => ({
  name,
  settings: `${count} x ${batchSettings}`,
  run: (url, size) =>
    Effect.gen(function*() {
      yield* prepare(url, size)
      const finished = yield* untilTrue(url, allFinished)
      const processes = yield* Effect.forEach(range(count), () => workerProcess(task(url)), {
        concurrency: "unbounded"
      })
      const began = yield* Clock.currentTimeMillis
      const already = (yield* Effect.forEach(processes, ({ received }) => received)).map(({ count }) => count)
      yield* finished
      const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
      const each = (yield* Effect.forEach(processes, ({ received }) => received)).map(({ count }) => count)
      const all = each.reduce((sum, count) => sum + count, 0) - already.reduce((sum, count) => sum + count, 0)
      return { value: all / seconds, figures: { "least of a process, share": Math.min(...each) / (size / count) } }
    })
})

const ofMemory = (name: string, settings: string, waiting: (size: number) => number): Contestant => ({
  name,
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      yield* prepare(url, waiting(size))
      const { received } = yield* workerProcess(task(url))
      // As many deliveries in either case.
      while ((yield* received).count < delivered(size) * 0.9) yield* Effect.sleep("20 millis")
      const { memory } = yield* received
      return memory / 2 ** 20
    })
})

const delivered = (size: number) => size / 20

const one = "zakops, one process"
const few = "zakops, few waiting"
const many = "many waiting"

const flat: Goal = {
  name: `${many} at most 1.2 times ${few}`,
  needs: [many, few],
  measure: ([few, many]) => (many?.median ?? NaN) / (few?.median ?? NaN),
  atMost: 1.2
}

export const processRaces: ReadonlyArray<Race> = [
  {
    name: "drain with several processes",
    unit: "events/s",
    size: 200_000,
    quickSize: 20_000,
    contestants: [withProcesses(1, one), withProcesses(2, "two processes"), withProcesses(4, "four processes")],
    goals: []
  },
  {
    name: "memory of a worker",
    unit: "MiB (peak, resident)",
    better: "less",
    size: 1_000_000,
    quickSize: 100_000,
    contestants: [
      ofMemory(few, `${batchSettings}; a twentieth of the size waiting`, delivered),
      ofMemory(many, `${batchSettings}; all of it waiting`, (size) => size)
    ],
    goals: [flat]
  }
]
