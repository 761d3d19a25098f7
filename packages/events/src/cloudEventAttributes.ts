/**
 * Which attribute of a CloudEvent carries what of an envelope, and back.
 *
 * `subject` is the aggregate's id, `time` when it was written. Extensions: `aggregatetype`, `schemaversion`, `correlationid`, `traceid`,
 * `partitionkey` (the ordering key) and `sequence` (padded, so that its order as text is its order). A header whose name can be that of an
 * extension is one, `traceparent` and `tracestate` among them; the others are together in `headers`, as JSON.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { EventEnvelope } from "./EventEnvelope.ts"

/** A message that is no CloudEvent which can be read as an event. `problem` says what is wrong with it. */
export class NotCloudEvent extends Schema.TaggedError<NotCloudEvent>()("NotCloudEvent", { problem: Schema.String }) {
  override get message() {
    return `the message is no CloudEvent that can be read: ${this.problem}`
  }
}

/** What says where the events come from. */
export interface Options {
  /** A URI reference that names the producer; with the id it names the event in the world. `/zakops/outbox` unless given. */
  readonly source?: string | undefined
  /** The schema of an event's data; a URN with type and version unless given. */
  readonly dataSchema?: ((eventType: string, schemaVersion: number) => string) | undefined
}

export type Attributes = { readonly [name: string]: string | number | boolean }

/** The type of an event that has none. */
export const untyped = "zakops.untyped"

const defaultSource = "/zakops/outbox"
// A 64-bit integer has at most 19 digits.
const sequenceDigits = 19

/** Attributes with a meaning here: a header of that name goes along in `headers`. */
const reserved = new Set([
  "specversion",
  "id",
  "source",
  "type",
  "subject",
  "time",
  "datacontenttype",
  "dataschema",
  "data",
  "aggregatetype",
  "schemaversion",
  "correlationid",
  "traceid",
  "partitionkey",
  "sequence",
  "headers"
])

const extensionName = /^[a-z0-9]{1,40}$/
// What a header of any protocol carries without a change, so that none is read differently than it was written.
const plainValue = /^[!-~](?:[ -~]*[!-~])?$/

export const attributesOf = (envelope: EventEnvelope, options: Options): Attributes => {
  const type = envelope.eventType === "" ? untyped : envelope.eventType
  const attributes: Record<string, string | number> = {
    specversion: "1.0",
    id: envelope.id,
    source: options.source ?? defaultSource,
    type,
    time: envelope.createdAt.toISOString(),
    dataschema: (options.dataSchema ?? urn)(type, envelope.schemaVersion),
    schemaversion: envelope.schemaVersion,
    correlationid: envelope.correlationId
  }
  if (isGiven(envelope.aggregateId)) attributes["subject"] = envelope.aggregateId
  if (isGiven(envelope.aggregateType)) attributes["aggregatetype"] = envelope.aggregateType
  if (isGiven(envelope.traceId)) attributes["traceid"] = envelope.traceId
  if (isGiven(envelope.orderingKey)) attributes["partitionkey"] = envelope.orderingKey
  if (isGiven(envelope.sequence)) attributes["sequence"] = envelope.sequence.padStart(sequenceDigits, "0")
  let others: Record<string, string> | undefined
  for (const [name, value] of Object.entries(envelope.headers)) {
    if (extensionName.test(name) && !reserved.has(name) && plainValue.test(value)) attributes[name] = value
    // Without a prototype, so that a header called __proto__ is one.
    else (others ??= Object.create(null) as Record<string, string>)[name] = value
  }
  if (others !== undefined) attributes["headers"] = ascii(JSON.stringify(others))
  return attributes
}

const isGiven = (text: string | null): text is string => text !== null && text !== ""

const urn = (type: string, version: number) => `urn:zakops:event:${encodeURIComponent(type.toWellFormed())}:${version}`

const ascii = (json: string) =>
  json.replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

const NonEmpty = Schema.String.check(Schema.isMinLength(1))
const Absent = Schema.optional(Schema.NullOr(Schema.String))
const Known = Schema.Struct({
  specversion: Schema.Literal("1.0"),
  id: NonEmpty,
  source: NonEmpty,
  type: NonEmpty,
  subject: Absent,
  time: Absent,
  aggregatetype: Absent,
  correlationid: Absent,
  traceid: Absent,
  partitionkey: Absent,
  sequence: Absent,
  headers: Absent,
  // A number in JSON, text in a header.
  schemaversion: Schema.optional(Schema.Union([Schema.Int, Schema.NumberFromString.check(Schema.isInt())]))
})
const decodeKnown = Schema.decodeUnknownResult(Known)
const decodeHeaders = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** The envelope that attributes and data make; fails with what is wrong with them. */
export const envelopeOf = (
  attributes: Readonly<Record<string, unknown>>,
  data: unknown,
  receivedAt: Date | undefined
): Result.Result<EventEnvelope, NotCloudEvent> => {
  const refuse = (problem: string) => Result.fail(new NotCloudEvent({ problem }))
  const decoded = decodeKnown(attributes)
  if (Result.isFailure(decoded)) return refuse(decoded.failure.message)
  const known = decoded.success
  const createdAt = typeof known.time === "string" ? new Date(known.time) : receivedAt ?? new Date(0)
  if (Number.isNaN(createdAt.getTime())) return refuse(`its time is ${JSON.stringify(known.time)}`)
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(attributes)) {
    if (reserved.has(name) || value === null || value === undefined) continue
    headers[name] = typeof value === "string" ? value : JSON.stringify(value)
  }
  const digits = /^0*(\d{1,19})$/.exec(known.sequence ?? "")?.[1]
  // Somebody else's may count in another way: that is kept, and not taken for a number of an outbox.
  if (isText(known.sequence) && digits === undefined) headers["sequence"] = known.sequence
  if (isText(known.headers)) {
    const others = decodeHeaders(known.headers)
    if (Option.isSome(others) && isTexts(others.value)) {
      for (const [name, value] of Object.entries(others.value)) define(headers, name, value)
    } else headers["headers"] = known.headers
  }
  return Result.succeed({
    id: known.id,
    correlationId: known.correlationid ?? known.id,
    aggregateType: known.aggregatetype ?? null,
    aggregateId: known.subject ?? null,
    eventType: known.type === untyped ? "" : known.type,
    schemaVersion: known.schemaversion ?? 1,
    data,
    traceId: known.traceid ?? null,
    headers,
    createdAt,
    orderingKey: known.partitionkey ?? null,
    sequence: digits ?? null
  })
}

const isText = (text: string | null | undefined): text is string => typeof text === "string"

// A Schema of a record would lose one called __proto__.
const isTexts = (json: unknown): json is Record<string, string> =>
  Predicate.isObject(json) && Object.values(json).every(Predicate.isString)

const define = (record: Record<string, string>, name: string, value: string) =>
  Object.defineProperty(record, name, { value, configurable: true, enumerable: true, writable: true })
