/**
 * Where an event comes from, in traces: what an emission is given of the span that is open around it.
 *
 * Where no tracer is installed that is the trace id and the context of a span that came from elsewhere, if there is one, and nothing else:
 * the spans that Effect makes all the same have ids that nobody will ever find. A look at two fields of the fiber.
 */
import { messageAttributes, openSpan } from "@zakops/events/MessageOperation"
import type { Operation } from "@zakops/events/MessageOperation"
import { traceparentOf, TraceState } from "@zakops/events/TraceContext"
import { tracerOf } from "@zakops/events/Tracing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Fiber } from "effect/Fiber"
import * as Option from "effect/Option"
import type { AnySpan, Tracer } from "effect/Tracer"
import type { Emission } from "./Emission.ts"
import { traceIdOf } from "./identifiers.ts"

type Headers = Readonly<Record<string, string>>

export interface Origin {
  /** For events that are given none. */
  readonly traceId: string | null
  /** The headers that the event carries besides those of its emission, which come first; undefined where there are none. */
  readonly carried: ((emission: Emission, id: string) => Headers) | undefined
}

/** Nothing is known of it. */
export const nowhere: Origin = { traceId: null, carried: undefined }

const toHeaders = (span: AnySpan, fiber: Fiber<unknown, unknown>): Headers => {
  const traceparent = traceparentOf(span)
  if (traceparent === undefined) return {}
  const state = fiber.getRef(TraceState)
  return state?.traceId === span.traceId ? { traceparent, tracestate: state.tracestate } : { traceparent }
}

/** The span of another process around the spans that nobody records: without a tracer, the events belong to that one. */
const fromElsewhere = (span: AnySpan): AnySpan | undefined => {
  let outer: AnySpan | undefined = span
  while (outer?._tag === "Span") outer = Option.getOrUndefined(outer.parent)
  return outer
}

/** A span for each event, as its creation context; it has ended when it is there, as an event is made in no time. */
const create =
  (fiber: Fiber<unknown, unknown>, tracer: Tracer, around: AnySpan, operation: Operation): Origin["carried"] =>
  (emission, id) => {
    const span = openSpan(fiber, tracer, operation, {
      parent: around,
      links: [],
      attributes: messageAttributes({ id, correlationId: emission.correlationId, eventType: emission.event.type })
    })
    if (span.status._tag === "Started") span.end(span.status.startTime, Exit.void)
    return toHeaders(span, fiber)
  }

/**
 * The origin of what a fiber emits.
 *
 * @param destination where it is written: the outbox
 */
export const originIn = (destination: string) => {
  const operation: Operation = { name: "create", destination }
  return (fiber: Fiber<unknown, unknown>): Origin => {
    const around = fiber.cache.span
    if (around === undefined) return nowhere
    const tracer = tracerOf(fiber)
    if (tracer !== undefined) {
      return {
        traceId: traceIdOf(around.traceId),
        carried: around.sampled ? create(fiber, tracer, around, operation) : () => toHeaders(around, fiber)
      }
    }
    const outer = fromElsewhere(around)
    return outer === undefined
      ? nowhere
      : { traceId: traceIdOf(outer.traceId), carried: () => toHeaders(outer, fiber) }
  }
}

/** The origin of what is emitted here. */
export const originHere = (destination: string): Effect.Effect<Origin> => {
  const originOf = originIn(destination)
  return Effect.withFiber((fiber) => Effect.succeed(originOf(fiber)))
}
