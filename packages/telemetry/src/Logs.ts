/**
 * Logs as JSON, one object a line, with the ids of the span that each line belongs to: what a collector of logs needs to lead from a line
 * to its trace and back.
 */
import * as Effect from "effect/Effect"
import type { Fiber } from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { oneOf, read } from "@zakops/outbox/connecting/readSetting"
import { tracerOf } from "@zakops/events/Tracing"

/** Only of spans that somebody records: others lead nowhere. */
const idsOf = (fiber: Fiber<unknown, unknown>) => {
  const span = fiber.cache.span
  return span === undefined || span._tag === "Span" && tracerOf(fiber) === undefined
    ? {}
    : { trace_id: span.traceId, span_id: span.spanId }
}

/** The line of a log entry: `timestamp`, `level`, `message`, `trace_id` and `span_id` where there is a span, and what Effect has besides. */
export const formatJson: Logger.Logger<unknown, string> = Logger.make((options) => {
  const { timestamp, level, message, ...more } = Logger.formatStructured.log(options)
  return JSON.stringify({ timestamp, level, message, ...idsOf(options.fiber), ...more }, safely)
})

/** What JSON cannot hold stands there as text. */
const safely = (_: string, value: unknown) => typeof value === "bigint" ? String(value) : value

/** JSON to the standard output, in place of what was there. */
export const layerJson = Logger.layer([Logger.withConsoleLog(formatJson)])

/** `OUTBOX_LOG_FORMAT`: `json`, or `text` (unless set), which leaves the loggers as they are. */
export const layer = Layer.unwrap(
  Effect.map(
    read(oneOf("OUTBOX_LOG_FORMAT", "text", ["text", "json"])),
    (format) => format === "json" ? layerJson : Layer.empty
  )
)
