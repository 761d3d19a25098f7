/**
 * From an event and its options to the row that is written: every check that needs no database.
 *
 * Whatever Postgres would refuse is found here first, since a statement that fails takes the caller's transaction along.
 */
import { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as JsonText from "@zakops/events/JsonText"
import { spanOf } from "@zakops/events/TraceContext"
import { uuidV7 } from "@zakops/events/uuidV7"
import * as Result from "effect/Result"
import { dedupeOf } from "./dedupeOf.ts"
import { deliveryTimes } from "./deliveryTimes.ts"
import type { Emission, NewEntry } from "./Emission.ts"
import { typeRefusal } from "./emissionTypes.ts"
import { traceId, uuid } from "./identifiers.ts"
import type { Origin } from "./Origin.ts"
import type { OutboxSettings } from "../OutboxConfig.ts"
import { byteLengthAbove, quote, textRefusal } from "./refusals.ts"
import { modeOf } from "../RolloutModes.ts"

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

/** A trace context that the emission gives is kept as it is, and needs none of ours. */
const hasContext = ({ headers }: Emission) => headers?.["traceparent"] !== undefined

const headersOf = (emission: Emission, id: string, { carried }: Origin): Readonly<Record<string, string>> => {
  const given = emission.headers ?? {}
  return carried === undefined || hasContext(emission) ? given : { ...given, ...carried(emission, id) }
}

const traceIdIn = ({ headers }: Emission): string | undefined =>
  headers === undefined ? undefined : spanOf(headers)?.traceId

/** What the settings say about writing an entry. */
export type EntrySettings = Pick<OutboxSettings, "enabled" | "modes" | "maxAttempts" | "maxEventBytes">

/**
 * Checks the emission and gives the row, or the first field that is wrong.
 *
 * @param origin what the span around gives it where the emission has none: a trace id, and trace context in the headers
 */
export const toEntry = (
  emission: Emission,
  origin: Origin,
  settings: EntrySettings
): Result.Result<NewEntry, InvalidEvent> => {
  const wrongType = typeRefusal(emission)
  if (wrongType !== undefined) return Result.fail(wrongType)
  const { event } = emission
  const refuse = (field: string, problem: string) =>
    Result.fail(new InvalidEvent({ eventType: String(event.type), field, problem }))
  const id = emission.id ?? uuidV7()
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
  const given = headersOf(emission, id.toLowerCase(), origin)
  const headers = JsonText.encode(given, "headers")
  if (Result.isFailure(headers)) return refuse(headers.failure.path, headers.failure.problem)
  if (byteLengthAbove(headers.success, settings.maxEventBytes)) {
    return refuse("headers", `are larger than ${settings.maxEventBytes} bytes of JSON (OUTBOX_MAX_EVENT_BYTES)`)
  }
  return Result.succeed({
    // As Postgres gives it back, so that ids can be compared.
    id: id.toLowerCase(),
    isIdGiven: emission.id !== undefined,
    correlationId: emission.correlationId,
    aggregateType: event.aggregateType,
    aggregateId: event.aggregateId,
    eventType: event.type,
    schemaVersion: event.schemaVersion,
    data: event.json,
    traceId: emission.traceId ?? traceIdIn(emission) ?? origin.traceId,
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
