/** Ours as a worker alone: it listens for what others emit. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { OutboxSettings } from "@zakops/outbox/OutboxConfig"
import { OutboxProcessor } from "@zakops/outbox/OutboxProcessor"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { numberOf } from "../payload.ts"
import type { Work } from "../workers.ts"
import { layerExternal, ours } from "./services.ts"

const working = (settings: Partial<OutboxSettings>): Work => (url, took) =>
  Effect.gen(function*() {
    const publisher = layerExternal({
      _tag: "External",
      destination: "nowhere",
      publish: (envelope: EventEnvelope) => Effect.sync(() => took(numberOf(envelope.data)))
    })
    const services = yield* ours(url, { publisher, settings })
    yield* Context.get(services, OutboxProcessor).start
  })

export const defaultSettings = "external publisher, all settings as they come"
export const work = working({})

export const batchSettings = "external publisher, OUTBOX_BATCH_SIZE 1000"
export const workInBatches = working({ batchSize: 1000 })
