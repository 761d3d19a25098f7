/** How long after its commit an event reaches a worker in another process, at a steady rate of emitting. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Goal } from "../Goal.ts"
import { atMost, figureNoWorse, notAbove } from "../Goal.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { percentile } from "../Measurement.ts"
import { plain } from "../ours/emit.ts"
import { defaultSettings } from "../ours/worker.ts"
import type { OpenEmitter } from "../peers/Emitter.ts"
import { makeDeals } from "../peers/Emitter.ts"
import * as graphile from "../peers/graphileWorker.ts"
import * as persisted from "../peers/persistedQueue.ts"
import * as boss from "../peers/pgBoss.ts"
import { sharedNow, workerProcess } from "../workerProcess.ts"
import type { WorkerName } from "../workers.ts"

const connections = 16
/** Events before the first that counts: connections are opened, and code is compiled as in a worker that has run for more than seconds. */
const settling = 500

/** Runs `self` for each number at its time, whether those before have ended or not. */
const paced = <E>(count: number, perSecond: number, self: (n: number) => Effect.Effect<unknown, E>) =>
  Effect.scoped(Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const fibers = []
    for (let n = 0; n < count; n++) {
      const wait = began + n * 1000 / perSecond - (yield* Clock.currentTimeMillis)
      if (wait > 0) yield* Effect.sleep(wait)
      fibers.push(yield* Effect.forkScoped(self(n)))
    }
    yield* Fiber.joinAll(fibers)
  }))

const heldRate = (committed: ReadonlyArray<number>) =>
  (committed.length - 1) / (Math.max(...committed) - Math.min(...committed)) * 1000

const measuring = (perSecond: number, worker: WorkerName, settings: string, open: OpenEmitter): Contestant => ({
  name: worker,
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      yield* Effect.scoped(makeDeals(url))
      const emitOne = yield* open(url, connections)
      const { received } = yield* workerProcess({ worker, url, times: true })
      const committed: Array<number> = []
      const took: Array<number> = []
      const count = size + settling
      yield* paced(count, perSecond, (n) =>
        Effect.suspend(() => {
          const began = sharedNow()
          return Effect.tap(emitOne(n), () =>
            Effect.sync(() => {
              committed[n] = sharedNow()
              took[n] = sharedNow() - began
            }))
        }))
      let { times } = yield* received
      while (Object.keys(times).length < count) {
        yield* Effect.sleep("100 millis")
        times = (yield* received).times
      }
      const latencies = committed.map((at, n) => Math.max(0, (times[n] ?? NaN) - at)).slice(settling)
      return {
        value: percentile(latencies, 0.5),
        figures: {
          "p99 ms": percentile(latencies, 0.99),
          "largest ms": Math.max(...latencies),
          // Fewer than were asked for where the transactions cannot keep up: then this one was measured under less load than the others.
          "committed events/s": heldRate(committed.slice(settling)),
          "transaction p50 ms": percentile(took.slice(settling), 0.5)
        }
      }
    })
})

const isHeld = (perSecond: number): Goal => ({
  name: `the rate was held (at least 90% of ${perSecond.toLocaleString("en")} events/s)`,
  needs: [],
  measure: ([ours]) => (ours?.figures["committed events/s"] ?? NaN) / perSecond,
  atLeast: 0.9
})

const at = (perSecond: number, size: number, quickSize: number): Race => ({
  name: `latency from commit to a worker in another process, ${perSecond.toLocaleString("en")} events a second`,
  unit: "ms (median)",
  better: "less",
  size,
  quickSize,
  contestants: [
    measuring(perSecond, "zakops", defaultSettings, plain.emit(1)),
    measuring(perSecond, "graphile-worker", graphile.latencySettings, graphile.emitting),
    measuring(perSecond, "pg-boss", boss.latencySettings, boss.emittingWithNotify),
    measuring(perSecond, "PersistedQueue", persisted.latencySettings, persisted.emitting)
  ],
  goals: [
    atMost("zakops", 1, "ms"),
    notAbove("zakops", "graphile-worker"),
    figureNoWorse("p99 ms"),
    isHeld(perSecond)
  ]
})

export const latencyRaces: ReadonlyArray<Race> = [at(50, 400, 100), at(1000, 8_000, 1_000)]
