/**
 * Trace context as an event carries it from its emitting to its consumers: the headers `traceparent` and `tracestate` of W3C Trace Context.
 *
 * A header that is no trace context is none: it never fails, and costs nobody an event.
 */
import * as Context from "effect/Context"
import type { AnySpan, ExternalSpan } from "effect/Tracer"
import * as Tracer from "effect/Tracer"

type Headers = Readonly<Record<string, unknown>>

// A later version may have more behind the flags; version ff is none.
const form = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const zeros = /^0+$/

/** What a `tracestate` may hold at most, in characters; a longer one is left out, as W3C allows. */
const longestState = 512

/** The span whose context is in the headers: the one that made the event. */
export const spanOf = (headers: Headers): ExternalSpan | undefined => {
  const header = headers["traceparent"]
  return typeof header === "string" ? parse(header) : undefined
}

/** The span that a `traceparent` names. */
export const parse = (traceparent: string): ExternalSpan | undefined => {
  const [, version, traceId = "", spanId = "", flags = "", more] = form.exec(traceparent.trim()) ?? []
  if (version === undefined || version === "00" && more !== undefined || zeros.test(traceId) || zeros.test(spanId)) {
    return undefined
  }
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/** The `traceparent` of a span; undefined where the span is one of those that record nothing, and has no ids. */
export const traceparentOf = ({ sampled, spanId, traceId }: AnySpan): string | undefined => {
  const header = `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`
  return form.test(header) ? header : undefined
}

/** What the vendors of a trace have to say to each other, and the trace that they say it of. */
export interface State {
  readonly traceId: string
  readonly tracestate: string
}

/** The `tracestate` of the trace that the program is in. A consumer sets it for its handlers, a program for its requests. */
export const TraceState: Context.Reference<State | undefined> = Context.Reference("@zakops/events/TraceState", {
  defaultValue: (): State | undefined => undefined
})

/** The `tracestate` in the headers, if it goes with a `traceparent` and can be one. */
export const stateOf = (headers: Headers): State | undefined => {
  const span = spanOf(headers)
  const tracestate = headers["tracestate"]
  return span === undefined || typeof tracestate !== "string" || tracestate === "" || tracestate.length > longestState
    ? undefined
    : { traceId: span.traceId, tracestate }
}
