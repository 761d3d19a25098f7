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
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { dedupeOf } from "./dedupeOf.ts"
import { deliveryTimes } from "./deliveryTimes.ts"
import { traceId, uuid } from "./identifiers.ts"
import type { OutboxSettings } from "./OutboxConfig.ts"
import { byteLengthAbove, quote, textRefusal } from "./refusals.ts"
import type { Mode } from "./RolloutModes.ts"
import { modeOf } from "./RolloutModes.ts"

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
  /** `outbox` for all that are only to be written. */
  readonly mode: Mode
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
      : `${event.aggregateType ?? ""}/${event.aggregateId}`
  }
  return orderBy.key
}

/** What the settings say about writing an entry. */
export type EntrySettings = Pick<OutboxSettings, "enabled" | "modes" | "maxAttempts" | "maxEventBytes">

/**
 * Checks the emission and gives the row, or the first field that is wrong.
 *
 * @param spanTraceId the trace id to be used where the emission gives none
 */
export const toEntry = (
  emission: Emission,
  spanTraceId: string | null,
  settings: EntrySettings
): Result.Result<NewEntry, InvalidEvent> => {
  const { event } = emission
  const refuse = (field: string, problem: string) =>
    Result.fail(new InvalidEvent({ eventType: String(event.type), field, problem }))
  const id = emission.id ?? uuidV7Unsafe()
  const { delivery } = event
  const mode = modeOf(settings, event.type)
  const waits = delivery?.waits
  const maxAttempts = emission.maxAttempts ?? delivery?.maxAttempts ?? settings.maxAttempts

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
  const when = deliveryTimes(emission, refuse)
  if (Result.isFailure(when)) return Result.fail(when.failure)
  const dedupe = dedupeOf(emission, refuse)
  if (Result.isFailure(dedupe)) return Result.fail(dedupe.failure)
  if (byteLengthAbove(event.json, settings.maxEventBytes)) {
    return refuse("data", `is larger than ${settings.maxEventBytes} bytes of JSON (OUTBOX_MAX_EVENT_BYTES)`)
  }
  const headers = JsonText.encode(emission.headers ?? {}, "headers")
  if (Result.isFailure(headers)) return refuse(headers.failure.path, headers.failure.problem)
  if (byteLengthAbove(headers.success, settings.maxEventBytes)) {
    return refuse("headers", `are larger than ${settings.maxEventBytes} bytes of JSON (OUTBOX_MAX_EVENT_BYTES)`)
  }
  return Result.succeed({
    // As Postgres gives it back, so that ids can be compared.
    id: id.toLowerCase(),
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
    // A copy that is dead holds up nobody: those behind it may be real.
    onDead: mode === "shadow" ? "skip" : delivery?.onDead ?? "block",
    ...when.success,
    dedupe: dedupe.success,
    mode
  })
}
