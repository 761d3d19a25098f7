/** What a worker shows of itself: `/metrics`, `/livez` and `/readyz` on a port, OTLP to a collector, and its logs as JSON. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Measured } from "@zakops/events/Tracing"
import { DatabaseMetrics } from "@zakops/telemetry/DatabaseMetrics"
import * as Logs from "@zakops/telemetry/Logs"
import * as Otlp from "@zakops/telemetry/Otlp"
import * as TelemetryRoutes from "@zakops/telemetry/TelemetryRoutes"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { createServer } from "node:http"
import { Problem } from "./Problem.ts"

/** Where to listen; a port of 0 takes one that is free. */
export interface Address {
  readonly port: Option.Option<number>
  readonly host: string
}

/** Exporters and loggers: to be provided around the whole of a worker. */
export const layerAround = ({ port }: Address) =>
  Layer.mergeAll(
    Otlp.layerFromEnvironment("zakops-worker"),
    Logs.layer,
    Option.isSome(port) ? Layer.succeed(Measured, true) : Layer.empty
  )

/** The endpoints, and the metrics of the database where somebody gets them. Needs the database. */
export const layerBeside = ({ host, port }: Address) =>
  Layer.unwrap(Effect.gen(function*() {
    if (Option.isNone(port)) return (yield* Otlp.isWanted) ? DatabaseMetrics.layer : Layer.empty
    const server = NodeHttpServer.layer(() => createServer(), { host, port: port.value }).pipe(
      Layer.catch((error) =>
        Layer.effect(
          HttpServer,
          new Problem({ line: `cannot listen on ${host}:${port.value}: ${causeOf(error)}`, cause: error })
        )
      )
    )
    return HttpRouter.serve(TelemetryRoutes.layer, { disableLogger: true }).pipe(Layer.provide(server))
  }))

const causeOf = ({ cause }: { readonly cause?: unknown }) => cause instanceof Error ? cause.message : String(cause)
