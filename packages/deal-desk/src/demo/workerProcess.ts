/** A worker of the deal desk as a process of its own, which the demo starts and kills. Ends with the process that started it. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import * as Config from "effect/Config"
import * as Layer from "effect/Layer"
import { layerWorker } from "../worker.ts"
import { layerShortWaits } from "./shortWaits.ts"

process.stdin.on("end", () => process.exit()).resume()

layerWorker.pipe(
  Layer.provide(OutboxConfig.layer),
  Layer.provide(layerShortWaits),
  Layer.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL"), maxConnections: Config.succeed(10) })),
  Layer.launch,
  NodeRuntime.runMain
)
