/** CloudEvents: an envelope comes back as it went in, in both modes and under every binding; somebody else's messages are read or refused. */
import { assert, describe, it } from "@effect/vitest"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { fromHeaderText, toHeaderText } from "@zakops/events/headerText"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const Text = Schema.String.check(Schema.isMinLength(1))
const Odd = Schema.Literals([
  "a b",
  " a ",
  "%41",
  "%",
  "\"",
  "ünï",
  "😀",
  "\u0000",
  "\n",
  "\u007f",
  "\ufeff",
  "constructor"
])
const Given = Schema.NullOr(Schema.Union([Text, Odd]))
const Anything = Schema.Struct({
  id: Text,
  correlationId: Schema.Union([Schema.String, Odd]),
  aggregateType: Given,
  aggregateId: Given,
  eventType: Schema.Union([Schema.String, Odd]),
  schemaVersion: Schema.Int,
  data: Schema.Json,
  traceId: Given,
  headers: Schema.Record(
    Schema.Union([
      Schema.Literals(["tenant", "traceparent", "__proto__", "constructor", "id", "headers", "sequence", "", "Tenant"]),
      Schema.String
    ]),
    Schema.Union([Schema.String, Odd, Schema.Literal("plain value")])
  ),
  millis: Schema.Int.check(Schema.isBetween({ minimum: -1e13, maximum: 1e13 })),
  orderingKey: Given,
  sequence: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })))
})

const envelopeFrom = ({ millis, ...given }: typeof Anything.Type): EventEnvelope => ({
  ...given,
  createdAt: new Date(millis),
  // JSON has one zero.
  schemaVersion: given.schemaVersion + 0,
  sequence: given.sequence === null ? null : String(given.sequence),
  // Objects as JSON has them.
  data: JSON.parse(JSON.stringify(given.data)) as unknown,
  headers: JSON.parse(JSON.stringify(given.headers)) as Record<string, string>
})

/** Some characters cannot be in UTF-8, nor in Postgres. */
const wellFormed = (envelope: EventEnvelope) =>
  JSON.stringify(envelope).isWellFormed() && !/\\ud[89a-f]/.test(JSON.stringify(envelope))

const example: EventEnvelope = {
  id: "0198f5a2-7c1e-7d3b-9a51-0e6d3f1c2b4a",
  correlationId: "5f0c6b1e-33a1-4c64-8f43-5a3b8c1f0d22",
  aggregateType: "deal",
  aggregateId: "7",
  eventType: "deal.created",
  schemaVersion: 2,
  data: { title: "ünï", amount: 1.5 },
  traceId: null,
  headers: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-äö": "ß", tenant: "t 1" },
  createdAt: new Date("2026-03-01T12:00:00.123Z"),
  orderingKey: "deal/7 ü",
  sequence: "42"
}

const bytes = (text: string) => new TextEncoder().encode(text)
const read = (json: unknown) => CloudEvent.fromStructured(JSON.stringify(json))
const bindings = { http: CloudEvent.http, nats: CloudEvent.nats, kafka: CloudEvent.kafka, amqp: CloudEvent.amqp }

describe("an envelope as a CloudEvent", () => {
  it.effect.prop(
    "comes back from the structured mode as it went in",
    { given: Anything },
    Effect.fnUntraced(function*({ given }) {
      const envelope = envelopeFrom(given)
      assert.deepStrictEqual(Result.getOrThrow(CloudEvent.fromStructured(CloudEvent.toStructured(envelope))), envelope)
    }),
    { arbitrary: { runs: 300 } }
  )

  it.effect.prop(
    "comes back from the binary mode as it went in, under every binding",
    { given: Anything },
    Effect.fnUntraced(function*({ given }) {
      const envelope = envelopeFrom(given)
      if (!wellFormed(envelope)) return
      for (const binding of Object.values(bindings)) {
        const { body, contentType, headers } = CloudEvent.toBinary(envelope, binding)
        const received = { contentType, headers, body: bytes(body) }
        assert.deepStrictEqual(Result.getOrThrow(CloudEvent.fromMessage(received, binding)), envelope)
      }
    }),
    { arbitrary: { runs: 300 } }
  )

  it.effect.prop(
    "has headers that any HTTP or NATS server takes",
    { given: Anything },
    Effect.fnUntraced(function*({ given }) {
      const { headers } = CloudEvent.toBinary(envelopeFrom(given), CloudEvent.nats)
      for (const [name, value] of Object.entries(headers)) {
        assert.match(name, /^ce-[a-z0-9]+$/)
        assert.match(value, /^[!-~]*$/)
      }
    }),
    { arbitrary: { runs: 200 } }
  )

  it("has the attributes of the specification and of the documented extensions", () => {
    assert.deepStrictEqual(JSON.parse(CloudEvent.toStructured(example, { source: "/deals" })), {
      specversion: "1.0",
      id: example.id,
      source: "/deals",
      type: "deal.created",
      time: "2026-03-01T12:00:00.123Z",
      datacontenttype: "application/json",
      dataschema: "urn:zakops:event:deal.created:2",
      subject: "7",
      aggregatetype: "deal",
      schemaversion: 2,
      correlationid: example.correlationId,
      partitionkey: "deal/7 ü",
      sequence: "0000000000000000042",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      tenant: "t 1",
      headers: "{\"x-\\u00e4\\u00f6\":\"\\u00df\"}",
      data: { title: "ünï", amount: 1.5 }
    })
  })

  it("has its data as the body and percent-encoded headers in the binary mode of HTTP", () => {
    const { body, contentType, headers } = CloudEvent.toBinary(example, CloudEvent.http)
    assert.strictEqual(contentType, "application/json")
    assert.strictEqual(body, "{\"title\":\"ünï\",\"amount\":1.5}")
    assert.strictEqual(headers["ce-partitionkey"], "deal/7%20%C3%BC")
    assert.strictEqual(headers["ce-schemaversion"], "2")
    assert.strictEqual(headers["ce-tenant"], "t%201")
  })

  it("tells later sequences from earlier ones as text", () => {
    const sequences = ["9", "10", "9223372036854775807"].map((sequence) =>
      CloudEvent.toBinary({ ...example, sequence }, CloudEvent.kafka).headers["ce_sequence"] ?? ""
    )
    assert.deepStrictEqual(sequences.toSorted(), sequences)
  })
})

describe("somebody else's CloudEvent", () => {
  const foreign = { specversion: "1.0", id: "1", source: "/elsewhere", type: "thing.done" }

  it("is read with what it does not say left open", () => {
    assert.deepStrictEqual(Result.getOrThrow(read({ ...foreign, time: "2026-03-01T12:00:00+01:00", data: [1] })), {
      id: "1",
      correlationId: "1",
      aggregateType: null,
      aggregateId: null,
      eventType: "thing.done",
      schemaVersion: 1,
      data: [1],
      traceId: null,
      headers: {},
      createdAt: new Date("2026-03-01T11:00:00Z"),
      orderingKey: null,
      sequence: null
    })
  })

  it("has the time of its receipt where it tells none, and its extensions as headers", () => {
    const receivedAt = new Date(5)
    const text = JSON.stringify({ ...foreign, sequence: "a-1", priority: 5, tracestate: "x=1" })
    const envelope = Result.getOrThrow(CloudEvent.fromStructured(text, { receivedAt }))
    assert.strictEqual(envelope.createdAt, receivedAt)
    assert.isNull(envelope.sequence)
    assert.isNull(envelope.data)
    assert.deepStrictEqual(envelope.headers, { sequence: "a-1", priority: "5", tracestate: "x=1" })
  })

  it("is read with its data in Base64, and with the other prefix of AMQP", () => {
    const base64 = { datacontenttype: "application/vnd.x+json; charset=utf-8", data_base64: btoa("{\"a\":1}") }
    assert.deepStrictEqual(Result.getOrThrow(read({ ...foreign, ...base64 })).data, { a: 1 })
    const headers = {
      "cloudEvents:specversion": "1.0",
      "cloudEvents:id": "1",
      "cloudEvents:source": "/elsewhere",
      "cloudEvents:type": "thing.done",
      "x-other": "ignored"
    }
    const received = { contentType: "application/json", headers, body: bytes("{}") }
    assert.deepStrictEqual(Result.getOrThrow(CloudEvent.fromMessage(received, CloudEvent.amqp)).headers, {})
  })

  it("is told by its content type to be structured, whatever the headers say", () => {
    const received = {
      contentType: "application/cloudevents+json; charset=UTF-8",
      headers: { "ce-id": "2" },
      body: bytes(JSON.stringify(foreign))
    }
    assert.strictEqual(Result.getOrThrow(CloudEvent.fromMessage(received, CloudEvent.nats)).id, "1")
  })

  const binary = (contentType: string, body: string) => {
    const headers = Object.fromEntries(Object.entries(foreign).map(([name, value]) => [`ce-${name}`, value]))
    return CloudEvent.fromMessage({ contentType, headers, body: bytes(body) }, CloudEvent.http)
  }

  it.each([
    ["no JSON", () => CloudEvent.fromStructured("{"), "not JSON"],
    ["no object", () => read([]), "Expected"],
    ["another version", () => read({ ...foreign, specversion: "0.3" }), "specversion"],
    ["no id", () => read({ ...foreign, id: undefined }), "id"],
    ["an empty type", () => read({ ...foreign, type: "" }), "type"],
    ["a time that is none", () => read({ ...foreign, time: "yesterday" }), "its time is \"yesterday\""],
    ["a version that is no number", () => read({ ...foreign, schemaversion: "two" }), "schemaversion"],
    [
      "data that is no JSON",
      () => read({ ...foreign, datacontenttype: "text/plain", data_base64: "aGk=" }),
      "not JSON"
    ],
    ["data in a Base64 that is none", () => read({ ...foreign, data_base64: "=" }), "Base64"],
    ["a body that is no JSON", () => binary("application/json", "<a/>"), "not JSON"],
    ["a body of another type", () => binary("text/xml", "<a/>"), "not JSON"]
  ])("is refused with %s", (_, reading, problem) => {
    const refused = reading()
    assert.isTrue(Result.isFailure(refused) && refused.failure.message.includes(problem), JSON.stringify(refused))
  })
})

describe("text in a header", () => {
  it.effect.prop(
    "is printable ASCII, and comes back",
    { text: Schema.Union([Schema.String, Odd]) },
    Effect.fnUntraced(function*({ text }) {
      assert.match(toHeaderText(text), /^[!-~]*$/)
      assert.strictEqual(fromHeaderText(toHeaderText(text)), text.toWellFormed())
    }),
    { arbitrary: { runs: 300 } }
  )

  it("that others wrote is read as far as it goes", () => {
    assert.strictEqual(fromHeaderText("100% %zz %c3%bc"), "100% %zz ü")
  })
})
