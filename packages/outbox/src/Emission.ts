/**
 * From an event and its options to the row that is written: every check that needs no database.
 *
 * Whatever Postgres would refuse is found here first, since a statement that fails takes the caller's transaction along.
 */
import type { Event } from "@zakops/events/EventDefinition"
import { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as JsonText from "@zakops/events/JsonText"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { ParentSpan } from "effect/Tracer"

export interface EmitOptions {
  /** What the event belongs to: the deal, the order, the request. A UUID. */
  readonly correlationId: string
  /** The event's own id, a UUID; a new UUID v7 when it is not given. The deduplication key of every destination and consumer. */
  readonly id?: string | undefined
  /** A UUID, or 32 hexadecimal digits; the trace id of the current span when it is not given. */
  readonly traceId?: string | undefined
  /** Carried along to destinations and consumers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Instead of `OUTBOX_MAX_ATTEMPTS`, for this event: a whole number from 1 up. */
  readonly maxAttempts?: number | undefined
}

/** One event of an `emitAll`. */
export interface Emission extends EmitOptions {
  readonly event: Event
}

/** A row to be written. `data` and `headers` are JSON text. */
export interface NewEntry {
  readonly id: string
  readonly correlationId: string
  readonly aggregateType: string | null
  readonly aggregateId: string | null
  readonly eventType: string
  readonly schemaVersion: number
  readonly data: string
  readonly traceId: string | null
  readonly headers: string
  readonly maxAttempts: number
}

export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const traceId = /^[0-9a-f]{32}$/i

/** The trace id of a span, if it is one that a UUID column can hold: the tracer that records nothing has names instead. */
export const traceIdOf = (spanTraceId: string | undefined): string | null =>
  spanTraceId !== undefined && traceId.test(spanTraceId) ? spanTraceId : null

/** The trace id of the span that is open here. */
export const currentTraceId: Effect.Effect<string | null> = Effect.map(
  Effect.serviceOption(ParentSpan),
  (span) => traceIdOf(Option.getOrUndefined(span)?.traceId)
)

// Postgres counts code points, JavaScript UTF-16 units; the second is never the smaller.
const longerThan = (text: string, characters: number) =>
  text.length > characters && Array.from(text).length > characters

const byteLengthAbove = (text: string, bytes: number) =>
  // A UTF-16 unit is at most three bytes: short texts need no count.
  text.length * 3 > bytes && new TextEncoder().encode(text).byteLength > bytes

const quote = (value: string) => JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}...` : value)

/**
 * Checks the emission and gives the row, or the first field that is wrong.
 *
 * @param limits `maxEventBytes` bounds the data, in bytes of UTF-8 JSON
 */
export const toEntry = (
  emission: Emission,
  spanTraceId: string | null,
  limits: { readonly maxAttempts: number; readonly maxEventBytes: number }
): Result.Result<NewEntry, InvalidEvent> => {
  const { event } = emission
  const refuse = (field: string, problem: string) =>
    Result.fail(new InvalidEvent({ eventType: String(event.type), field, problem }))
  const id = emission.id ?? uuidV7Unsafe()
  const maxAttempts = emission.maxAttempts ?? limits.maxAttempts

  if (!uuid.test(emission.correlationId)) {
    return refuse("correlationId", `is ${quote(emission.correlationId)}, which is no UUID`)
  }
  if (!uuid.test(id)) return refuse("id", `is ${quote(id)}, which is no UUID`)
  if (emission.traceId !== undefined && !uuid.test(emission.traceId) && !traceId.test(emission.traceId)) {
    return refuse("traceId", `is ${quote(emission.traceId)}, which is neither a UUID nor 32 hexadecimal digits`)
  }
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 2_147_483_647) {
    return refuse("maxAttempts", `is ${maxAttempts}, which is no whole number from 1 up`)
  }
  if (event.type.length === 0) return refuse("type", "is empty")
  for (
    const [field, text, most] of [
      ["type", event.type, 100],
      ["aggregateType", event.aggregateType, 50],
      ["aggregateId", event.aggregateId, 100]
    ] as const
  ) {
    if (text === null) continue
    if (longerThan(text, most)) return refuse(field, `is ${quote(text)}, which is longer than ${most} characters`)
    const problem = JsonText.textProblem(text)
    if (problem !== undefined) return refuse(field, problem)
  }
  if (byteLengthAbove(event.json, limits.maxEventBytes)) {
    return refuse("data", `is larger than ${limits.maxEventBytes} bytes of JSON (OUTBOX_MAX_EVENT_BYTES)`)
  }
  const headers = JsonText.encode(emission.headers ?? {}, "headers")
  if (Result.isFailure(headers)) return refuse(headers.failure.path, headers.failure.problem)
  if (byteLengthAbove(headers.success, limits.maxEventBytes)) {
    return refuse("headers", `are larger than ${limits.maxEventBytes} bytes of JSON (OUTBOX_MAX_EVENT_BYTES)`)
  }
  return Result.succeed({
    id,
    correlationId: emission.correlationId,
    aggregateType: event.aggregateType,
    aggregateId: event.aggregateId,
    eventType: event.type,
    schemaVersion: event.schemaVersion,
    data: event.json,
    traceId: emission.traceId ?? spanTraceId,
    headers: headers.success,
    maxAttempts
  })
}
