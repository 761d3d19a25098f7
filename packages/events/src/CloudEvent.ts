/**
 * Events as CloudEvents 1.0, the form in which they travel through a broker: an envelope goes in and comes out the same.
 *
 * Pure, and for both modes: structured is one JSON text; binary has the data as the message's body and all else in its headers, named and
 * written as the binding of the protocol says. A message of somebody else's is read as well, as far as it is a CloudEvent with JSON data.
 *
 * Texts that are empty (a type, an aggregate's id, a key) are no values in CloudEvents: an empty type travels as `untyped`, and the others
 * come out as null.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Options } from "./cloudEventAttributes.ts"
import { attributesOf, envelopeOf, NotCloudEvent, untyped } from "./cloudEventAttributes.ts"
import type { EventEnvelope } from "./EventEnvelope.ts"
import { fromHeaderText, toHeaderText } from "./headerText.ts"

export { NotCloudEvent, untyped }
export type { Options }

/** How a protocol carries the attributes of the binary mode. */
export interface Binding {
  /** What stands before an attribute's name in the name of its header. The first is written, all are read. */
  readonly prefixes: readonly [string, ...ReadonlyArray<string>]
  /** True where a header holds printable ASCII only: everything else is percent-encoded. */
  readonly percent: boolean
}

export const http: Binding = { prefixes: ["ce-"], percent: true }
export const nats: Binding = http
export const kafka: Binding = { prefixes: ["ce_"], percent: false }
/** The binding of AMQP 1.0, whose application properties are the headers of 0-9-1. */
export const amqp: Binding = { prefixes: ["cloudEvents_", "cloudEvents:"], percent: false }

export interface Reading {
  /** The time of an event that tells none of its own: when the broker got it, where that is known. 1970 unless given. */
  readonly receivedAt?: Date | undefined
}

/** The content type of the structured mode. */
export const structuredType = "application/cloudevents+json"
/** The content type of the binary mode. */
export const binaryType = "application/json"

/** One message in binary mode. */
export interface BinaryMessage {
  readonly contentType: typeof binaryType
  /** By name, with the binding's prefix. */
  readonly headers: Readonly<Record<string, string>>
  /** The data as JSON. */
  readonly body: string
}

/** A message as it was received. Names of headers are compared without regard to case. */
export interface Received {
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Uint8Array
}

/** The event as one JSON text, of the content type `structuredType`. */
export const toStructured = (envelope: EventEnvelope, options: Options = {}): string =>
  JSON.stringify({
    ...attributesOf(envelope, options),
    datacontenttype: binaryType,
    data: envelope.data ?? null
  })

/** The event as the headers and the body of a message. */
export const toBinary = (envelope: EventEnvelope, binding: Binding, options: Options = {}): BinaryMessage => {
  const headers: Record<string, string> = {}
  const [prefix] = binding.prefixes
  const attributes = attributesOf(envelope, options)
  for (const name in attributes) {
    const text = String(attributes[name])
    headers[prefix + name] = binding.percent ? toHeaderText(text) : text
  }
  return { contentType: binaryType, headers, body: JSON.stringify(envelope.data ?? null) }
}

/** Reads a message in either mode: its content type says which. */
export const fromMessage = (
  message: Received,
  binding: Binding,
  reading: Reading = {}
): Result.Result<EventEnvelope, NotCloudEvent> =>
  mediaType(message.contentType) === structuredType
    ? fromStructured(decoder.decode(message.body), reading)
    : fromBinary(message, binding, reading)

/** Reads an event from one JSON text. */
export const fromStructured = (
  text: string,
  reading: Reading = {}
): Result.Result<EventEnvelope, NotCloudEvent> =>
  Result.flatMap(parse(text, "it"), (json) => {
    const members = decodeMembers(json)
    if (Result.isFailure(members)) return refuse(members.failure.message)
    const { data, data_base64: base64, datacontenttype, ...attributes } = members.success
    if (base64 === undefined) return envelopeOf(attributes, data ?? null, reading.receivedAt)
    if (!isJson(datacontenttype)) return refuse(`its data is ${JSON.stringify(datacontenttype)}, not JSON`)
    const bytes = Base64.decode(base64)
    if (Result.isFailure(bytes)) return refuse("its data_base64 is not Base64")
    return Result.flatMap(
      parse(decoder.decode(bytes.success), "its data"),
      (decoded) => envelopeOf(attributes, decoded, reading.receivedAt)
    )
  })

const fromBinary = (
  { body, contentType, headers }: Received,
  binding: Binding,
  reading: Reading
): Result.Result<EventEnvelope, NotCloudEvent> => {
  const attributes: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase()
    const prefix = binding.prefixes.find((prefix) => lower.startsWith(prefix.toLowerCase()))
    if (prefix === undefined) continue
    attributes[lower.slice(prefix.length)] = binding.percent && typeof value === "string"
      ? fromHeaderText(value)
      : value
  }
  if (!isJson(contentType)) return refuse(`its data is ${JSON.stringify(contentType)}, not JSON`)
  return Result.flatMap(
    body.length === 0 ? Result.succeed(null) : parse(decoder.decode(body), "its data"),
    (data) => envelopeOf(attributes, data, reading.receivedAt)
  )
}

const decoder = new TextDecoder()

const Members = Schema.StructWithRest(
  Schema.Struct({
    data: Schema.optional(Schema.Unknown),
    data_base64: Schema.optional(Schema.String),
    datacontenttype: Schema.optional(Schema.String)
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)
const decodeMembers = Schema.decodeUnknownResult(Members)

const refuse = (problem: string): Result.Result<never, NotCloudEvent> => Result.fail(new NotCloudEvent({ problem }))

const parse = (text: string, what: string): Result.Result<unknown, NotCloudEvent> =>
  Result.try({
    try: () => JSON.parse(text) as unknown,
    catch: (cause) => new NotCloudEvent({ problem: `${what} is not JSON: ${String(cause)}` })
  })

const mediaType = (contentType: string | undefined) => (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? ""

// Without a content type, data is JSON: so it is in the structured mode, and a broker may have lost it.
const isJson = (contentType: string | undefined) => /^$|[/+]json$/.test(mediaType(contentType))
