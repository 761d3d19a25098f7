/**
 * The outbox as one layer: reads the settings, gives the services, and runs processor and maintenance for as long as the layer is in scope.
 *
 * Needs the database and an `EventPublisher`; `@zakops/event-store` provides the default one. With `OUTBOX_ENABLED=false` the same
 * services publish directly; the processor then delivers only what the outbox still holds.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import type { NotMigrated } from "@zakops/migrations/Migrations"
import { requireMigrated } from "@zakops/migrations/Migrations"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Maintenance } from "./Maintenance.ts"
import { Outbox } from "./Outbox.ts"
import type { InvalidSetting } from "./InvalidSetting.ts"
import { OutboxConfig } from "./OutboxConfig.ts"
import { OutboxProcessor } from "./OutboxProcessor.ts"
import { OutboxWriter } from "./OutboxWriter.ts"
import { TransactionalPublisher } from "./TransactionalPublisher.ts"
import { Wakeup } from "./Wakeup.ts"

/**
 * The services, with nothing running: `OutboxProcessor` and `Maintenance` are there to be started, or run once, by the program. Fails with
 * `InvalidSetting` where the inbox's age is too short.
 */
export const layerServices = Layer.mergeAll(OutboxWriter.layer, OutboxProcessor.layer, Maintenance.layer).pipe(
  Layer.provideMerge(Outbox.layer),
  Layer.provideMerge(Layer.mergeAll(TransactionalPublisher.layer, Wakeup.layer))
)

const runProcessor = Layer.effectDiscard(Effect.gen(function*() {
  const { enabled, maintenanceEnabled, processorEnabled } = yield* OutboxConfig
  if (enabled) {
    yield* requireMigrated
  } else {
    yield* Effect.logInfo("OUTBOX_ENABLED is false: events are published directly")
    // What was emitted while it was true is delivered all the same; without the tables there is no such thing, nor a need for them.
    if (!(yield* Effect.isSuccess(requireMigrated))) return
  }
  if (!processorEnabled) {
    return yield* Effect.logInfo("OUTBOX_PROCESSOR_ENABLED is false: events are written, and delivered elsewhere")
  }
  const { start } = yield* OutboxProcessor
  yield* start
  if (maintenanceEnabled) yield* (yield* Maintenance).start
}))

type Services = Outbox | OutboxWriter | OutboxProcessor | Maintenance | TransactionalPublisher | Wakeup

type Needs = PgClient | SqlClient | EventPublisher

/**
 * Fails at start with `InvalidSetting`, `InvalidSchemaName` or `NotMigrated`, each one line that says what to do, or with the `SqlError`
 * of a database that does not answer.
 */
export const OutboxLive: Layer.Layer<
  Services | OutboxConfig,
  InvalidSetting | InvalidSchemaName | NotMigrated | SqlError,
  Needs
> = runProcessor.pipe(
  Layer.provideMerge(layerServices),
  Layer.provideMerge(OutboxConfig.layer)
)

/** As `OutboxLive`, with the settings that the program provides. */
export const layer: Layer.Layer<
  Services,
  InvalidSetting | InvalidSchemaName | NotMigrated | SqlError,
  Needs | OutboxConfig
> = runProcessor.pipe(Layer.provideMerge(layerServices))
