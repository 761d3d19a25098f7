/** Emitting and delivering at the same time: at 70% of what a worker alone drains, what waits must not grow. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Goal } from "../Goal.ts"
import { connect } from "../measure.ts"
import type { Contestant, Race, Sample } from "../Measurement.ts"
import { openFilling } from "../ours/drain.ts"
import { batchSettings } from "../ours/worker.ts"
import * as graphile from "../peers/graphileWorker.ts"
import { workerProcess } from "../workerProcess.ts"
import type { WorkerName } from "../workers.ts"

/** Emits a batch of the events from the n-th on. */
type EmitBatch = (from: number, count: number) => Effect.Effect<unknown, unknown>
type OpenEmitting = (url: string) => Effect.Effect<EmitBatch, unknown, Scope.Scope>

const batch = 100
const share = 0.7

/** How many it drains in a second when nothing is emitted. */
const drainRate = Effect.fnUntraced(function*(url: string, worker: WorkerName, emit: EmitBatch, count: number) {
  for (let n = 0; n < count; n += 1000) yield* emit(n, 1000)
  const { received } = yield* workerProcess({ worker, url, times: false })
  const began = yield* Clock.currentTimeMillis
  const already = (yield* received).count
  while ((yield* received).count < count) yield* Effect.sleep("20 millis")
  return (count - already) / ((yield* Clock.currentTimeMillis) - began) * 1000
}, Effect.scoped)

/** What waits at the end beside what waited after a quarter of the time, as a share of what was emitted meanwhile. */
const growth = (backlog: ReadonlyArray<{ readonly emitted: number; readonly waiting: number }>) => {
  const quarter = backlog[Math.floor(backlog.length / 4)]
  const last = backlog.at(-1)
  return quarter === undefined || last === undefined
    ? NaN
    : (last.waiting - quarter.waiting) / Math.max(1, last.emitted - quarter.emitted)
}

/** @param size for how many seconds */
const mixing = (worker: WorkerName, settings: string, preloaded: number, open: OpenEmitting): Contestant => ({
  name: worker,
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      const emit = yield* open(url)
      const alone = yield* drainRate(url, worker, emit, size > 20 ? preloaded : preloaded / 5)
      yield* Effect.scoped(
        Effect.flatMap(connect(url), (client) => Effect.promise(() => client.query("VACUUM ANALYZE")))
      )
      const perSecond = share * alone
      const { received } = yield* workerProcess({ worker, url, times: false })
      const backlog: Array<{ emitted: number; waiting: number }> = []
      const began = yield* Clock.currentTimeMillis
      let emitted = 0
      let looked = began
      while (true) {
        const now = yield* Clock.currentTimeMillis
        if (now - began >= size * 1000) break
        if (now - looked >= 250) {
          looked = now
          backlog.push({ emitted, waiting: emitted - (yield* received).count })
        }
        const due = Math.min(1000, Math.floor((now - began) / 1000 * perSecond) - emitted)
        if (due < batch) yield* Effect.sleep("1 millis")
        else {
          yield* emit(emitted, due)
          emitted += due
        }
      }
      const { count } = yield* received
      const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
      return {
        value: count / seconds,
        figures: {
          "drain alone events/s": alone,
          "emitted events/s": emitted / seconds,
          "emitted, share of drain alone": emitted / seconds / alone,
          "backlog growth, share of emitted": growth(backlog),
          "waiting at the end": emitted - count
        }
      } satisfies Sample
    })
})

/** A hundredth is the batch that is under way. */
const doesNotGrow: Goal = {
  name: "the backlog does not grow (by more than 1% of what is emitted)",
  needs: [],
  measure: ([ours]) => ours?.figures["backlog growth, share of emitted"] ?? NaN,
  atMost: 0.01
}

/** As asked for, or as much as could be emitted at all: an emitter that cannot keep up shows nothing. */
const isFed: Goal = {
  name: "it was fed at 70% of the drain rate (at least 65%)",
  needs: [],
  measure: ([ours]) => ours?.figures["emitted, share of drain alone"] ?? NaN,
  atLeast: 0.65
}

export const mixedRaces: ReadonlyArray<Race> = [{
  name: "emit and deliver at the same time",
  unit: "events/s delivered",
  size: 60,
  quickSize: 6,
  contestants: [
    mixing(
      "zakops batches",
      `${batchSettings}, in a process of its own; emitAll of 100 to 1,000 events in another`,
      50_000,
      openFilling
    ),
    mixing(
      "graphile-worker batches",
      `${graphile.throughputSettings}, in a process of its own; addJobs of 100 to 1,000 in another`,
      50_000,
      graphile.openFilling
    )
  ],
  goals: [doesNotGrow, isFed]
}]
