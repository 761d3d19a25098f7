/**
 * `zakops worker`: the outbox processor as a process of its own, delivering to the event log until it is told to stop.
 *
 * SIGTERM and SIGINT stop the claiming, let what is in flight finish within OUTBOX_DRAIN_TIMEOUT, and end with exit code 0.
 */
import { layerPublisher } from "@zakops/event-store/EventLog"
import { requireMigrated } from "@zakops/migrations/Migrations"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { databaseUrl, layerClient } from "./Database.ts"
import { Problem, tellProblems } from "./Problem.ts"

/** A worker that is switched off would look alive and do nothing. */
const requireWork = Effect.gen(function*() {
  const { processorEnabled } = yield* OutboxConfig
  if (!processorEnabled) {
    return yield* new Problem({ line: "OUTBOX_PROCESSOR_ENABLED is false: a worker would have nothing to do" })
  }
  // OutboxLive would start without them where OUTBOX_ENABLED is false; a worker is there for nothing else.
  yield* requireMigrated
})

const run = Effect.gen(function*() {
  const { shown, url } = yield* tellProblems("")(databaseUrl)
  const worker = OutboxLive.layer.pipe(
    Layer.provide(Layer.effectDiscard(requireWork)),
    Layer.provide(layerPublisher),
    Layer.provide(layerClient(url)),
    Layer.provide(OutboxConfig.layer)
  )
  return yield* Effect.scoped(Effect.gen(function*() {
    yield* Layer.build(worker)
    yield* Effect.logInfo(`delivering from the outbox in ${shown} to its event log`)
    return yield* Effect.onInterrupt(Effect.never, () => Effect.logInfo("stopping"))
  })).pipe(tellProblems(shown))
})

export const command = Command.make("worker", {}, () => run).pipe(
  Command.withDescription("Deliver from the outbox in DATABASE_URL until SIGTERM; set by the OUTBOX_ variables")
)
