/**
 * Keeps the `tracestate` of an incoming request, so that the events that it emits carry it on beside the `traceparent`: Effect's own server
 * spans know only of the latter.
 */
import { stateOf, TraceState } from "@zakops/events/TraceContext"
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import { HttpServerRequest } from "effect/http/HttpServerRequest"

/** A middleware for `HttpRouter.serve` and `HttpServer.serve`. */
export const keepTraceState = HttpMiddleware.make((app) =>
  Effect.flatMap(HttpServerRequest, ({ headers }) => Effect.provideService(app, TraceState, stateOf(headers)))
)
