/** The examples of docs/telemetry.md. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Logs, Otlp, TelemetryRoutes } from "@zakops/telemetry"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { AppLive } from "./readmeExample.ts"

export const Observed = AppLive.pipe(
  Layer.provide(Otlp.layerFromEnvironment("deal-api")),
  Layer.provide(Logs.layer)
)

export const Endpoints = HttpRouter.serve(TelemetryRoutes.layer, { disableLogger: true }).pipe(
  Layer.provide(NodeHttpServer.layer(() => createServer(), { port: 9464, host: "127.0.0.1" }))
)
