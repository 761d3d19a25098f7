/**
 * From an event and its options to the row that is written: every check that needs no database.
 *
 * Whatever Postgres would refuse is found here first, since a statement that fails takes the caller's transaction along.
 */
import type { OnDead } from "@zakops/events/DeliverySettings"
import type { Event } from "@zakops/events/EventDefinition"
import { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as JsonText from "@zakops/events/JsonText"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { ParentSpan } from "effect/Tracer"
import { typeRefusal } from "./emissionTypes.ts"

export interface EmitOptions {
  /** What the event belongs to: the deal, the order, the request. A UUID. */
  readonly correlationId: string
  /** The event's own id, a UUID; a new UUID v7 when it is not given. The deduplication key of every destination and consumer. */
  readonly id?: string | undefined
  /** A UUID, or 32 hexadecimal digits; the trace id of the current span when it is not given. */
  readonly traceId?: string | undefined
  /** Carried along to destinations and consumers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Instead of `OUTBOX_MAX_ATTEMPTS` and what the definition says, for this event: a whole number from 1 up. */
  readonly maxAttempts?: number | undefined
  /**
   * Delivered one after another are all events with this key, of 1 to 200 characters; null for no order. Instead of the definition's
   * `orderBy`. The key is locked until the transaction ends, so that the order of commits is the order of delivery.
   */
  readonly orderingKey?: string | null | undefined
  /** Not delivered before. With an ordering key, those behind it wait as well. */
  readonly deliverAt?: Date | undefined
  /** As `deliverAt`, from now on, by the database's clock. */
  readonly delay?: Duration.Input | undefined
  /** Dead, if not delivered by then. */
  readonly expiresAt?: Date | undefined
  /** A second event of the same type with this key, of 1 to 200 characters, is not written: its `emit` gives the id of the first. */
  readonly dedupeKey?: string | undefined
  /** For how long `dedupeKey` stands, from the first event on. One day unless given. */
  readonly dedupeWindow?: Duration.Input | undefined
}

/** One event of an `emitAll`. */
export interface Emission extends EmitOptions {
  readonly event: Event
}

/** A row to be written. `data` and `headers` are JSON text, times ISO 8601, durations milliseconds. */
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
  readonly retryWaits: ReadonlyArray<number> | null
  readonly orderingKey: string | null
  readonly onDead: OnDead
  readonly deliverAt: string | null
  readonly delay: number
  readonly expiresAt: string | null
  readonly dedupe: { readonly key: string; readonly window: number } | null
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

type Refuse = (field: string, problem: string) => Result.Result<never, InvalidEvent>

const textRefusal = (refuse: Refuse, field: string, text: string, most: number) => {
  if (text.length === 0 && !field.startsWith("aggregate")) return refuse(field, "is empty")
  if (longerThan(text, most)) return refuse(field, `is ${quote(text)}, which is longer than ${most} characters`)
  const problem = JsonText.textProblem(text)
  return problem === undefined ? undefined : refuse(field, problem)
}

/** The key that orders the event, where it has one. */
const orderingKeyOf = ({ correlationId, event, orderingKey }: Emission): string | null | undefined => {
  if (orderingKey !== undefined) return orderingKey
  const orderBy = event.delivery?.orderBy
  if (orderBy === undefined) return null
  if (orderBy === "correlation") return correlationId.toLowerCase()
  if (orderBy === "aggregate") {
    return event.aggregateId === null
      ? undefined
      : `${event.aggregateType}/${event.aggregateId}`
  }
  return orderBy.key
}

/** What Postgres and JavaScript both write with four digits of a year. */
const inRange = (time: Date) => time.getTime() >= Date.parse("0001-01-01") && time.getTime() < Date.UTC(10_000, 0)

const longest = Duration.toMillis(Duration.days(36_500))

/** Milliseconds of what was given as a duration; undefined where it is none, is negative, or longer than 100 years. */
const millisOf = (given: Duration.Input): number | undefined => {
  // Effect takes these for nothing at all.
  if (typeof given === "number" ? !(given >= 0) : typeof given === "string" && given.startsWith("-")) return undefined
  const millis = Option.map(Duration.fromInput(given), Duration.toMillis)
  return Option.getOrUndefined(Option.filter(millis, (millis) => millis <= longest))
}

type When = Pick<NewEntry, "deliverAt" | "delay" | "expiresAt">

const whenOf = (emission: Emission, refuse: Refuse): Result.Result<When, InvalidEvent> => {
  const { deliverAt, delay, expiresAt } = emission
  if (deliverAt !== undefined && delay !== undefined) return refuse("delay", "is given together with deliverAt")
  for (const [field, time] of [["deliverAt", deliverAt], ["expiresAt", expiresAt]] as const) {
    if (time !== undefined && !inRange(time)) return refuse(field, "is no time between the years 1 and 9999")
  }
  if (deliverAt !== undefined && expiresAt !== undefined && expiresAt <= deliverAt) {
    return refuse("expiresAt", "is not after deliverAt: the event could never be delivered")
  }
  const millis = delay === undefined ? 0 : millisOf(delay)
  if (millis === undefined) return refuse("delay", "is no duration from 0 to 100 years")
  return Result.succeed({
    deliverAt: deliverAt?.toISOString() ?? null,
    delay: millis,
    expiresAt: expiresAt?.toISOString() ?? null
  })
}

const oneDay = Duration.days(1)

const dedupeOf = (
  { dedupeKey, dedupeWindow }: Emission,
  refuse: Refuse
): Result.Result<NewEntry["dedupe"], InvalidEvent> => {
  if (dedupeKey === undefined) {
    return dedupeWindow === undefined ? Result.succeed(null) : refuse("dedupeWindow", "is given without a dedupeKey")
  }
  const wrong = textRefusal(refuse, "dedupeKey", dedupeKey, 200)
  if (wrong !== undefined) return wrong
  const window = millisOf(dedupeWindow ?? oneDay)
  if (window === undefined || window === 0) return refuse("dedupeWindow", "is no duration above 0, up to 100 years")
  return Result.succeed({ key: dedupeKey, window })
}

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
  const wrongType = typeRefusal(emission)
  if (wrongType !== undefined) return Result.fail(wrongType)
  const { event } = emission
  const refuse = (field: string, problem: string) =>
    Result.fail(new InvalidEvent({ eventType: String(event.type), field, problem }))
  const id = emission.id ?? uuidV7Unsafe()
  const { delivery } = event
  const waits = delivery?.waits
  const maxAttempts = emission.maxAttempts ?? delivery?.maxAttempts ?? limits.maxAttempts

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
  const orderingKey = orderingKeyOf(emission)
  if (orderingKey === undefined) {
    return refuse("aggregateId", "is not given, and the event is ordered by its aggregate")
  }
  for (
    const [field, text, most] of [
      ["type", event.type, 100],
      ["aggregateType", event.aggregateType, 50],
      ["aggregateId", event.aggregateId, 100],
      ["orderingKey", orderingKey, 200]
    ] as const
  ) {
    const wrong = text === null ? undefined : textRefusal(refuse, field, text, most)
    if (wrong !== undefined) return wrong
  }
  const when = whenOf(emission, refuse)
  if (Result.isFailure(when)) return Result.fail(when.failure)
  const dedupe = dedupeOf(emission, refuse)
  if (Result.isFailure(dedupe)) return Result.fail(dedupe.failure)
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
    maxAttempts: Math.min(maxAttempts, waits?.mostAttempts ?? maxAttempts),
    retryWaits: waits?.millis ?? null,
    orderingKey,
    onDead: delivery?.onDead ?? "block",
    ...when.success,
    dedupe: dedupe.success
  })
}
