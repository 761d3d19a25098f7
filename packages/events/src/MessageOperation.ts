/**
 * What is done with messages, as spans and durations after the semantic conventions of OpenTelemetry for messaging: `create`, `send`,
 * `process`.
 *
 * Each span is linked to the creation contexts of its messages. That of a single message is also its parent, unless another span is open
 * around it, so that one trace tells the whole way of an event.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Clock } from "effect/Clock"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Fiber } from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type { AnySpan, Span, SpanKind, SpanLink, Tracer } from "effect/Tracer"
import { ParentSpan } from "effect/Tracer"
import type { EventEnvelope } from "./EventEnvelope.ts"
import { labelled } from "./labelled.ts"
import { spanOf, stateOf, TraceState } from "./TraceContext.ts"
import { aloud, Measured, tracerOf } from "./Tracing.ts"

export interface Operation {
  readonly name: "create" | "send" | "process"
  /** What `messaging.destination.name` says: of few values. */
  readonly destination: string
  /** What `messaging.system` says, `zakops` unless given. */
  readonly system?: string | undefined
  /** Who consumes: `messaging.consumer.group.name`. */
  readonly group?: string | undefined
}

// `send` is no PRODUCER here: its messages have got their contexts before, when they were emitted.
const kinds: Record<Operation["name"], SpanKind> = { create: "producer", send: "client", process: "consumer" }

const attributesOf = ({ destination, group, name, system = "zakops" }: Operation): Record<string, string> => ({
  "messaging.system": system,
  "messaging.operation.name": name,
  "messaging.operation.type": name,
  "messaging.destination.name": destination,
  ...(group === undefined ? {} : { "messaging.consumer.group.name": group })
})

/** What the conventions say of a single message. */
export const messageAttributes = (
  message: Pick<EventEnvelope, "id" | "correlationId" | "eventType">
): Record<string, string> => ({
  "messaging.message.id": message.id,
  "messaging.message.conversation_id": message.correlationId,
  "zakops.event.type": message.eventType
})

/** How many links a span has at most, as the tracers of OpenTelemetry have it. */
export const mostLinks = 128

/** Opens a span. Whoever opens it ends it. */
export const openSpan = (fiber: Fiber<unknown, unknown>, tracer: Tracer, operation: Operation, options: {
  readonly parent: AnySpan | undefined
  readonly links: ReadonlyArray<AnySpan>
  readonly startTime?: bigint | undefined
  readonly attributes: Readonly<Record<string, unknown>>
}): Span => {
  const { attributes, links, parent, startTime } = options
  const span = tracer.span({
    name: `${operation.name} ${operation.destination}`,
    kind: kinds[operation.name],
    parent: Option.fromUndefinedOr(parent),
    root: parent === undefined,
    links: links.slice(0, mostLinks).map((span): SpanLink => ({ span, attributes: {} })),
    annotations: Context.empty(),
    startTime: startTime ?? nanos(fiber),
    // Of many messages some are sampled or none.
    sampled: parent === undefined ? links.length === 0 || links.some(({ sampled }) => sampled) : parent.sampled
  })
  for (const [key, value] of Object.entries({ ...attributesOf(operation), ...attributes })) span.attribute(key, value)
  return span
}

/** What the clock of the fiber says, in nanoseconds. */
export const nanos = (fiber: Fiber<unknown, unknown>): bigint => fiber.getRef(Clock).currentTimeNanosUnsafe()

/** How an operation has ended: what `error.type` says, undefined where it has succeeded. */
export type ErrorType = string | undefined

const tagOf = (error: unknown): string => {
  const { _tag, name } = (error ?? {}) as { readonly _tag?: unknown; readonly name?: unknown }
  return typeof _tag === "string" ? _tag : typeof name === "string" ? name : "_OTHER"
}

/** The tag of the error, or the name of its class. */
export const errorTypeOf = (exit: Exit.Exit<unknown, unknown>): ErrorType =>
  Exit.isSuccess(exit)
    ? undefined
    : Cause.hasInterruptsOnly(exit.cause)
    ? "interrupted"
    : tagOf(Cause.squash(exit.cause))

// The boundaries that the conventions want.
const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** The metric `messaging.client.operation.duration`, in seconds: of sending, while `Measured`. */
export const operationDuration = Metric.histogram("messaging.client.operation.duration", {
  description: "Duration of sending to a destination, by destination and error",
  boundaries,
  attributes: { unit: "s" }
})

/** The metric `messaging.process.duration`, in seconds: of handlers, while `Measured`. */
export const processDuration = Metric.histogram("messaging.process.duration", {
  description: "Duration of handling an event, by source, consumer and error",
  boundaries,
  attributes: { unit: "s" }
})

const durations = { send: labelled(operationDuration), process: labelled(processDuration) }

/** Adds to the duration of the operation, which began at `began`. */
export const recordDuration = (
  fiber: Fiber<unknown, unknown>,
  operation: Operation & { readonly name: "send" | "process" },
  began: bigint,
  errorType: ErrorType
): Effect.Effect<void> =>
  Metric.update(
    durations[operation.name]({
      ...attributesOf(operation),
      ...(errorType === undefined ? {} : { "error.type": errorType })
    }),
    Number(nanos(fiber) - began) / 1e9
  )

/** Ends the span as the exit says. */
export const endSpan = (span: Span, endTime: bigint, exit: Exit.Exit<unknown, unknown>, errorType: ErrorType): void => {
  if (errorType !== undefined) span.attribute("error.type", errorType)
  span.end(endTime, exit)
}

/** Whether anybody records what `withOperation` has to say. */
export const isObserved = (fiber: Fiber<unknown, unknown>): boolean =>
  tracerOf(fiber) !== undefined || fiber.getRef(Measured)

/**
 * Runs `self`, which does something with the messages, in a span where there is a tracer, and measures it where durations are. Elsewhere
 * it is `self`.
 *
 * @param outcome the exit as span and metric are to see it, where it is not the exit of `self`
 */
export const withOperation = <A, E, R>(
  operation: Operation & { readonly name: "send" | "process" },
  messages: NonEmptyReadonlyArray<EventEnvelope>,
  self: Effect.Effect<A, E, R>,
  attributes: Readonly<Record<string, unknown>> = {},
  outcome: (exit: Exit.Exit<A, E>) => Exit.Exit<unknown, unknown> = (exit) => exit
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const tracer = tracerOf(fiber)
    const measured = fiber.getRef(Measured)
    if (tracer === undefined && !measured) return self
    const began = nanos(fiber)
    const span = tracer && spanOver(fiber, tracer, operation, messages, began, attributes)
    return Effect.onExit(span === undefined ? self : within(span, messages[0], self), (exit) => {
      const seen = outcome(exit)
      const errorType = errorTypeOf(seen)
      if (span !== undefined) endSpan(span, nanos(fiber), seen, errorType)
      return measured ? recordDuration(fiber, operation, began, errorType) : Effect.void
    })
  })

const spanOver = (
  fiber: Fiber<unknown, unknown>,
  tracer: Tracer,
  operation: Operation,
  messages: NonEmptyReadonlyArray<EventEnvelope>,
  startTime: bigint,
  attributes: Readonly<Record<string, unknown>>
): Span => {
  const links = messages.slice(0, mostLinks).flatMap(({ headers }) => spanOf(headers) ?? [])
  const around = fiber.cache.tracerEnabled ? fiber.cache.span : undefined
  const single = messages.length === 1
  return openSpan(fiber, tracer, operation, {
    parent: around ?? (single ? links[0] : undefined),
    links,
    startTime,
    attributes: {
      ...(single ? messageAttributes(messages[0]) : { "messaging.batch.message_count": messages.length }),
      ...attributes
    }
  })
}

/** The handlers of a batch go on with the tracestate of none of its messages in particular: with the first one's, which names its trace. */
const within = <A, E, R>(span: Span, message: EventEnvelope, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  aloud(self.pipe(
    Effect.provideService(ParentSpan, span),
    Effect.provideService(TraceState, stateOf(message.headers))
  ))
