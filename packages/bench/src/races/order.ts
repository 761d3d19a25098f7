/** What order costs: a full outbox with keys against the same without. */
import { Transient } from "@zakops/events/EventPublisher"
import type { External } from "@zakops/events/EventPublisher"
import type { EmitOptions } from "@zakops/outbox"
import { FlowControl } from "@zakops/outbox/FlowControl"
import { OutboxProcessor } from "@zakops/outbox/OutboxProcessor"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { times } from "../Goal.ts"
import { analyze, measured, mustHold } from "../measure.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { deliverUntil, emitMany, nothingLeft, toExternal } from "../ours/drain.ts"
import { layerExternal, ours, takesAll } from "../ours/services.ts"
import { numberOf } from "../payload.ts"
import { countUntil, draining } from "../peers/Drainer.ts"

const settings = { batchSize: 4000 }
const unkeyed = "zakops, no key"

const keyed = (name: string, about: string, keyOf: (n: number) => Partial<EmitOptions>): Contestant =>
  draining({ name, settings: about }, toExternal(settings, keyOf))

const hot = "one hot key"

/** Half of the entries have the key of one that fails at once, and is told to come again in an hour. */
const blockedHead: Contestant = {
  name: "hot key that waits",
  settings: "half of all behind one entry whose first attempt has failed and waits an hour; the rate of the others",
  run: (url, size) =>
    Effect.gen(function*() {
      const calls = countUntil()
      const publisher: External = {
        _tag: "External",
        destination: "nowhere",
        publish: ({ data }) =>
          numberOf(data) === 0
            ? Effect.fail(new Transient({ reason: "not now", retryAfter: Duration.hours(1) }))
            : Effect.sync(() => calls.hit())
      }
      const services = yield* ours(url, { publisher: layerExternal(publisher), settings })
      const others = size / 2
      yield* Effect.provideContext(
        emitMany(size, (n) => ({ orderingKey: n % 2 === 0 ? hot : `key ${n % 10_000}` })),
        services
      )
      yield* analyze(url)
      const sample = yield* measured(
        url,
        others,
        deliverUntil(Context.get(services, OutboxProcessor), calls.until(others))
      )
      yield* mustHold(
        url,
        `NOT EXISTS (SELECT FROM zakops.outbox WHERE NOT finished AND ordering_key <> '${hot}')`
      )
      return { ...sample, count: others }
    })
}

/** Events that a worker has delivered one after another, before all of the others are there. */
const few = 20

/**
 * By a worker that has delivered a few events one after another: what its statements are prepared for is a table with next to nothing in
 * it, when all of the others are there at once.
 */
const afterQuiet = (name: string, about: string, keyOf: (n: number) => Partial<EmitOptions>): Contestant => ({
  name,
  settings: about,
  run: (url, size) =>
    Effect.gen(function*() {
      const calls = countUntil()
      const publisher = takesAll(calls.hit)
      const services = yield* ours(url, { publisher: layerExternal(publisher), settings })
      const emit = (count: number) => Effect.provideContext(emitMany(count, keyOf), services)
      const { pause, resume } = yield* Effect.provideContext(
        Effect.provide(FlowControl, FlowControl.layer),
        services
      )
      const working = yield* Scope.make()
      yield* Scope.provide(Context.get(services, OutboxProcessor).start, working)
      for (let round = 1; round <= few; round++) {
        yield* emit(1)
        yield* calls.until(round)
      }
      yield* pause(publisher, { by: "bench" })
      yield* emit(size)
      const sample = yield* measured(
        url,
        size,
        Effect.gen(function*() {
          yield* resume(publisher, { by: "bench" })
          yield* calls.until(few + size)
          yield* Scope.close(working, Exit.void)
        })
      )
      yield* mustHold(url, nothingLeft)
      return { ...sample, count: size }
    })
})
export const orderRaces: ReadonlyArray<Race> = [{
  name: "drain with ordering keys",
  unit: "events/s",
  size: 100_000,
  quickSize: 10_000,
  contestants: [
    draining({ name: unkeyed, settings: "external publisher, OUTBOX_BATCH_SIZE 4000" }, toExternal(settings)),
    keyed("1,000 keys", "evenly spread", (n) => ({ orderingKey: `key ${n % 1000}` })),
    keyed(
      "100,000 keys",
      "evenly spread: one entry each, in the whole bench",
      (n) => ({ orderingKey: `key ${n % 100_000}` })
    ),
    keyed("hot key", "half of all with one key, the others spread over 5,000", (n) => ({
      orderingKey: n % 2 === 0 ? hot : `key ${n % 10_000}`
    })),
    blockedHead
  ],
  goals: [
    times("1,000 keys", unkeyed, 0.8),
    times("100,000 keys", unkeyed, 0.8),
    times("hot key", unkeyed, 0.8),
    times("hot key that waits", unkeyed, 0.8)
  ]
}, {
  name: "drain after a quiet time",
  unit: "events/s",
  size: 20_000,
  quickSize: 5_000,
  contestants: [
    afterQuiet(unkeyed, "external publisher, OUTBOX_BATCH_SIZE 4000, running before they come", () => ({})),
    afterQuiet("1,000 keys", "evenly spread", (n) => ({ orderingKey: `key ${n % 1000}` })),
    afterQuiet("20,000 keys", "one entry each", (n) => ({ orderingKey: `key ${n}` }))
  ],
  goals: []
}]
