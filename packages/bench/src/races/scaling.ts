/**
 * 1, 2, 4 and 8 worker processes on one database, which is 0, 1 or 10 ms away: how much they deliver together, and how evenly. Half of the
 * events have an ordering key, one of 500. The first contestant is the one worker that the others are compared with.
 */
import * as Effect from "effect/Effect"
import { connect, untilTrue } from "../measure.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { allFinished, emitMany } from "../ours/drain.ts"
import { layerExternal, ours, takesAll } from "../ours/services.ts"
import { defaultSettings } from "../ours/worker.ts"
import { startProxy } from "../proxy.ts"
import { workerProcess } from "../workerProcess.ts"

/** Jain's index: 1 where all have the same, 1/n where one has all. */
const fairness = (counts: ReadonlyArray<number>) =>
  counts.reduce((a, b) => a + b, 0) ** 2 / (counts.length * counts.reduce((sum, count) => sum + count ** 2, 0))

/** The destination of `ours/worker.ts` is held until all workers are there and all is written. */
const hold = "INSERT INTO zakops.flow (kind, name, paused_at) VALUES ('destination', 'nowhere', now())"
const letGo = "DELETE FROM zakops.flow WHERE kind = 'destination' AND name = 'nowhere'"

const workersAt = (count: number, millis: number): Contestant => ({
  name: count === 1 ? "1 worker" : `${count} workers`,
  settings: defaultSettings,
  run: (url, size) =>
    Effect.gen(function*() {
      const services = yield* ours(url, { publisher: layerExternal(takesAll(() => {})) })
      const client = yield* connect(url)
      const say = (statement: string) => Effect.promise(() => client.query(statement))
      yield* say(hold)
      yield* Effect.provideContext(
        emitMany(size, (n) => ({ orderingKey: n % 2 === 0 ? `key ${n % 1000}` : null })),
        services
      )
      yield* say("ANALYZE")
      const proxy = yield* startProxy(url)
      proxy.delay(millis)
      const through = millis === 0 ? url : proxy.url
      const children = yield* Effect.forEach(
        Array.from({ length: count }),
        () => workerProcess({ worker: "zakops", url: through, times: false }),
        { concurrency: 2 }
      )
      const finished = yield* untilTrue(url, allFinished)
      const began = performance.now()
      yield* say(letGo)
      yield* say("SELECT pg_notify('zakops_outbox', '')")
      yield* finished
      const seconds = (performance.now() - began) / 1000
      const received = yield* Effect.forEach(children, (child) => child.received)
      return { value: size / seconds, count: size, figures: { fairness: fairness(received.map((one) => one.count)) } }
    })
})

export const scalingRaces: ReadonlyArray<Race> = [0, 1, 10].map((millis) => ({
  name: `scaling, ${millis} ms to the database`,
  unit: "events/s",
  size: 40_000,
  quickSize: 4000,
  contestants: [workersAt(1, millis), workersAt(2, millis), workersAt(4, millis), workersAt(8, millis)],
  goals: []
}))
