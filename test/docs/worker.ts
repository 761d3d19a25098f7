/** The program of docs/processing.md. It runs when it is imported. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import { OutboxLive } from "@zakops/outbox"
import * as Config from "effect/Config"
import * as Layer from "effect/Layer"

OutboxLive.pipe(
  Layer.provide(EventLog.layerPublisher),
  Layer.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })),
  Layer.launch,
  NodeRuntime.runMain
)
