/** The examples of docs/processing.md and docs/operations.md. */
import * as EventLog from "@zakops/event-store/EventLog"
import { Maintenance, OutboxLive, OutboxOverview, OutboxProcessor, RetryPolicy } from "@zakops/outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"

const threeTries = Schedule.spaced("30 seconds").pipe(Schedule.upTo({ times: 2 }))

export const Patient = OutboxLive.pipe(
  Layer.provide(Layer.succeed(RetryPolicy, threeTries)),
  Layer.provide(EventLog.layerPublisher)
)

const OnDemand = layerServices.pipe(
  Layer.provide(OutboxConfig.layer),
  Layer.provide(EventLog.layerPublisher)
)

export const deliverAll = Effect.gen(function*() {
  const { drain } = yield* OutboxProcessor
  const counts = yield* drain
  yield* Effect.logInfo(`${counts.delivered} delivered, ${counts.retried} to be tried again, ${counts.dead} dead`)
}).pipe(Effect.provide(OnDemand))

export const deleteOld = Effect.gen(function*() {
  const { runOnce } = yield* Maintenance
  const deleted = yield* runOnce
  yield* Effect.logInfo("deleted", deleted)
}).pipe(Effect.provide(OnDemand))

export const report = Effect.gen(function*() {
  const { dead, overview, waiting } = yield* OutboxOverview
  yield* Effect.logInfo("outbox", yield* overview)
  yield* Effect.logInfo("next to be tried again", yield* waiting(10))
  yield* Effect.logInfo("latest dead letters", yield* dead(10))
}).pipe(Effect.provide(OutboxOverview.layer))
