/**
 * `zakops worker`: the outbox processor as a process of its own, delivering to the event log until it is told to stop, or with `--once`
 * until nothing is due any more.
 *
 * SIGTERM and SIGINT stop the claiming, let what is in flight finish within OUTBOX_DRAIN_TIMEOUT, and end with exit code 0.
 */
import { layerPublisher } from "@zakops/event-store/EventLog"
import { requireMigrated } from "@zakops/migrations/Migrations"
import { Maintenance, OutboxProcessor } from "@zakops/outbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { databaseUrl, layerClient } from "./Database.ts"
import { json } from "./deadFilter.ts"
import { untilTold } from "./exitCodes.ts"
import { toJson } from "./json.ts"
import { checkPort } from "./port.ts"
import { misuse, tellProblems } from "./Problem.ts"
import { withTime } from "./progress.ts"
import type { Address } from "./workerTelemetry.ts"
import { layerAround, layerBeside } from "./workerTelemetry.ts"

/** A worker that is switched off would look alive and do nothing. */
const requireWork = Effect.gen(function*() {
  const { processorEnabled } = yield* OutboxConfig
  if (!processorEnabled) {
    return yield* misuse("OUTBOX_PROCESSOR_ENABLED is false: a worker would have nothing to do")
  }
  // OutboxLive would start without them where OUTBOX_ENABLED is false; a worker is there for nothing else.
  yield* requireMigrated
})

const forever = (address: Address) =>
  Effect.gen(function*() {
    const { shown, url } = yield* tellProblems("")(databaseUrl)
    const worker = OutboxLive.layer.pipe(
      Layer.provide(Layer.effectDiscard(requireWork)),
      Layer.provide(layerPublisher),
      Layer.provide(OutboxConfig.layer),
      Layer.merge(layerBeside(address)),
      Layer.provide(layerClient(url))
    )
    return yield* Effect.scoped(Effect.gen(function*() {
      yield* Layer.build(worker)
      yield* Effect.logInfo(`delivering from the outbox in ${shown} to its event log`)
      return yield* Effect.onInterrupt(Effect.never, () => Effect.logInfo("stopping"))
    })).pipe(untilTold, Effect.provide(layerAround(address)), tellProblems(shown))
  })

/** For cron jobs: what is due, and what is old, and then the end. What waits for a later attempt stays. */
const once = (asJson: boolean) =>
  Effect.gen(function*() {
    const { shown, url } = yield* tellProblems("")(databaseUrl)
    const services = OutboxLive.layerServices.pipe(
      Layer.provide(Layer.effectDiscard(requireWork)),
      Layer.provide(layerPublisher),
      Layer.provideMerge(OutboxConfig.layer),
      Layer.provide(layerClient(url))
    )
    yield* Effect.gen(function*() {
      const { drain } = yield* OutboxProcessor
      const { runOnce } = yield* Maintenance
      const { maintenanceEnabled } = yield* OutboxConfig
      const counts = yield* withTime("delivering")(drain)
      const deleted = maintenanceEnabled ? yield* withTime("deleting what is old")(runOnce) : Option.none()
      const { dead, delivered, parked, retried } = counts
      yield* Console.log(
        asJson
          ? toJson({ ...counts, maintenance: Option.getOrNull(deleted) })
          : `${delivered} delivered, ${retried} failed and wait, ${dead} dead, ${parked} wait for a newer build`
      )
    }).pipe(Effect.provide(services), tellProblems(shown))
  })

const onceFlag = Flag.Boolean("once").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Deliver what is due, delete what is old, and end")
)
const port = Flag.Int("port").pipe(
  Flag.withDescription("Serve /metrics, /livez and /readyz on this port; nothing is served without it"),
  Flag.optional
)
const host = Flag.String("host").pipe(
  Flag.withDescription("The address to serve on; 0.0.0.0 for all, which asks nobody who they are"),
  Flag.withDefault("127.0.0.1")
)

export const command = Command.make("worker", { once: onceFlag, port, host, json }, (given) => {
  if (!given.once) {
    return given.json
      ? tellProblems("")(misuse("--json is for --once"))
      : Effect.andThen(tellProblems("")(checkPort(given.port)), forever(given))
  }
  return Option.isSome(given.port) ? tellProblems("")(misuse("--port is not for --once")) : once(given.json)
}).pipe(
  Command.withDescription("Deliver from the outbox in DATABASE_URL until SIGTERM; set by the OUTBOX_ variables")
)
