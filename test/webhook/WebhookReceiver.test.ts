/** From a transaction through a webhook into a consumer's inbox, and what the receiver answers to everything else. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, layer } from "@effect/vitest"
import * as CloudEvent from "@zakops/events/CloudEvent"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { SetAside } from "@zakops/events/EventSource"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import { Signature, WebhookPublisher, WebhookReceiver } from "@zakops/webhook"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { createServer } from "node:http"
import { eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const secrets = [Redacted.make(`whsec_${Buffer.alloc(24, 1).toString("base64")}`)] as const
const keys = Result.getOrThrow(Signature.keysOf(secrets))

class Received extends Context.Service<Received, WebhookReceiver.Receiver>()("@zakops/test/Received") {}

const receiver = Layer.effect(
  Received,
  WebhookReceiver.make("the hook", { secrets, patience: Duration.millis(200), waiting: 3, maxBytes: 100_000 })
)

const served = HttpRouter.serve(
  Layer.unwrap(Effect.map(Received, ({ route }) => HttpRouter.add("POST", "/hook", route))),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
  Layer.provideMerge(receiver)
)

const publisher = Layer.effect(
  EventPublisher,
  Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    const port = "port" in address ? address.port : 0
    return yield* WebhookPublisher.make({
      url: `http://127.0.0.1:${port}/hook`,
      secrets,
      allowHttp: true,
      allowNetworks: ["127.0.0.0/8"]
    })
  })
)

const WasSigned = EventDefinition.make("deal.signed", { payload: Schema.Struct({ deal: Schema.String }) })
const DealSigned = EventDefinition.make("deal.signed", {
  version: 2,
  payload: Schema.Struct({ deal: Schema.String, by: Schema.String }),
  upcasters: { 1: (json) => ({ ...(json as object), by: "nobody" }) }
})

layer(
  services().pipe(
    Layer.provideMerge(publisher),
    Layer.provideMerge(served),
    Layer.provideMerge(InboxGuard.layer),
    Layer.provideMerge(TestDatabase.layer)
  ),
  { excludeTestServices: true }
)("a webhook's round trip", (it) => {
  it.effect("from the transaction to a handler, once for each event, whichever its version and however often it is delivered", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { emit } = yield* Outbox
      const { transact } = yield* TransactionalPublisher
      const { drain } = yield* OutboxProcessor
      const { source } = yield* Received
      yield* sql`CREATE TABLE signed (deal text, by text)`
      const consuming = yield* Effect.forkChild(Consumer.run({
        consumerId: "signatures",
        source,
        handlers: [
          Consumer.on(DealSigned, ({ data }) => sql`INSERT INTO signed (deal, by) VALUES (${data.deal}, ${data.by})`)
        ]
      }))
      yield* transact(emit(yield* WasSigned.make({ deal: "old" }), { correlationId: randomUUID() }))
      yield* transact(emit(yield* DealSigned.make({ deal: "new", by: "me" }), { correlationId: randomUUID() }))
      const rolledBack = emit(yield* DealSigned.make({ deal: "none", by: "me" }), { correlationId: randomUUID() })
      yield* Effect.flip(transact(Effect.andThen(rolledBack, Effect.fail("no"))))
      assert.deepInclude(yield* drain, { delivered: 2, retried: 0 })
      yield* sql`UPDATE zakops.outbox SET status = 'pending', delivered_at = NULL`
      assert.deepInclude(yield* drain, { delivered: 2, retried: 0 })
      assert.deepStrictEqual(yield* sql`SELECT deal, by FROM signed ORDER BY deal`, [
        { deal: "new", by: "me" },
        { deal: "old", by: "nobody" }
      ])
      yield* Fiber.interrupt(consuming)
    }))
})

const envelope = (): EventEnvelope => ({
  id: randomUUID(),
  correlationId: randomUUID(),
  aggregateType: null,
  aggregateId: null,
  eventType: "deal.signed",
  schemaVersion: 1,
  data: null,
  traceId: null,
  headers: {},
  createdAt: new Date(0),
  orderingKey: null,
  sequence: null
})

const requestOf = (event: EventEnvelope, mode: "binary" | "structured" = "structured"): Request => {
  const message = mode === "binary"
    ? CloudEvent.toBinary(event, CloudEvent.http)
    : { contentType: CloudEvent.structuredType, headers: {}, body: CloudEvent.toStructured(event) }
  const timestamp = Math.floor(Date.now() / 1000)
  const signed = Signature.sign(keys, { id: event.id, timestamp, body: message.body })
  return new Request("http://localhost/hook", {
    method: "POST",
    headers: { ...message.headers, ...signed, "content-type": message.contentType },
    body: message.body
  })
}

layer(receiver, { excludeTestServices: true })("WebhookReceiver", (it) => {
  const send = (request: Request) => Effect.flatMap(Received, ({ fetch }) => Effect.promise(() => fetch(request)))

  /** What consumes while `self` runs. */
  const consuming = <E, A, E2, R2>(
    handle: (batch: ReadonlyArray<EventEnvelope>) => Effect.Effect<void, E>,
    self: Effect.Effect<A, E2, R2>
  ) =>
    Effect.gen(function*() {
      const { source } = yield* Received
      const fiber = yield* Effect.forkChild(source.consume(handle))
      const result = yield* self
      yield* Fiber.interrupt(fiber)
      return result
    })

  it.effect("answers 204 after the event was handled, and not before", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const handle = () => Effect.andThen(Effect.sleep(Duration.millis(20)), Effect.sync(() => order.push("handled")))
      const response = yield* consuming(() => Effect.asVoid(handle()), send(requestOf(envelope())))
      order.push("answered")
      assert.strictEqual(response.status, 204)
      assert.deepStrictEqual(order, ["handled", "answered"])
    }))

  it.effect("answers 503 while nobody consumes, and hands out nothing that was given up", () =>
    Effect.gen(function*() {
      const given = [envelope(), envelope(), envelope(), envelope()]
      const responses = yield* Effect.forEach(given, (event) => send(requestOf(event)), { concurrency: "unbounded" })
      assert.deepStrictEqual(responses.map(({ status }) => status), [503, 503, 503, 503])
      assert.isNull(responses[0]?.headers.get("retry-after"))
      const seen: Array<string> = []
      const next = envelope()
      const handle = (batch: ReadonlyArray<EventEnvelope>) =>
        Effect.sync(() => void seen.push(...batch.map(({ id }) => id)))
      yield* consuming(handle, send(requestOf(next)))
      assert.deepStrictEqual(seen, [next.id])
    }))

  it.effect("answers 500 where the handler fails, which stops the source", () =>
    Effect.gen(function*() {
      const { source } = yield* Received
      const fiber = yield* Effect.forkChild(Effect.flip(source.consume(() => Effect.fail("no"))))
      assert.strictEqual((yield* send(requestOf(envelope()))).status, 500)
      assert.strictEqual(yield* Fiber.join(fiber), "no")
    }))

  it.effect("leaves what is set aside with its sender, and hands out the others once more without it", () =>
    Effect.gen(function*() {
      const given = [envelope(), envelope(), envelope()] as const
      const [first, second, third] = given
      const handled: Array<string> = []
      const responses = yield* Effect.gen(function*() {
        const { source } = yield* Received
        const sending = yield* Effect.forEach(given, (event) => Effect.forkChild(send(requestOf(event))))
        yield* eventually(Effect.as(Effect.sleep(Duration.millis(20)), true))
        const fiber = yield* Effect.forkChild(
          source.consume((batch) =>
            Effect.forEach(batch, ({ id }) =>
              id === second.id
                ? new SetAside({ eventId: id, reason: "newer", error: "not yet" })
                : Effect.sync(() => handled.push(id)), { discard: true })
          )
        )
        const all = yield* Effect.forEach(sending, Fiber.join)
        yield* Fiber.interrupt(fiber)
        return all
      })
      assert.deepStrictEqual(responses.map(({ status }) => status), [204, 503, 204])
      assert.strictEqual(responses[1]?.headers.get("retry-after"), "60")
      assert.sameMembers(handled, [first.id, third.id])
    }))

  it.effect("refuses what is not signed, no CloudEvent, too large or no POST", () =>
    Effect.gen(function*() {
      const unsigned = requestOf(envelope())
      unsigned.headers.set("webhook-signature", "v1,AAAA")
      assert.strictEqual((yield* send(unsigned)).status, 401)

      const body = "{\"no\":\"event\"}"
      const signed = Signature.sign(keys, { id: "x", timestamp: Math.floor(Date.now() / 1000), body })
      const type = { "content-type": CloudEvent.structuredType }
      const url = "http://localhost/hook"
      const post = (headers: Record<string, string>, text: string) =>
        send(new Request(url, { method: "POST", headers, body: text }))
      assert.strictEqual((yield* post({ ...signed, ...type }, body)).status, 400)
      assert.strictEqual((yield* post({ ...signed, ...type }, "x".repeat(100_001))).status, 413)
      assert.strictEqual((yield* send(new Request(url))).status, 405)
    }))

  it.effect("takes the binary mode only when told to, and no event under another id than the signed one", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* send(requestOf(envelope(), "binary"))).status, 400)
      const decode = WebhookReceiver.decode({ secrets, acceptBinary: true })
      const read = (request: Request) =>
        Effect.flatMap(
          Effect.promise(() => request.bytes()),
          (body) => decode({ headers: Object.fromEntries(request.headers), body })
        )
      const event = envelope()
      assert.deepStrictEqual(yield* read(requestOf(event, "binary")), event)
      const forged = requestOf(event, "binary")
      forged.headers.set("ce-id", randomUUID())
      assert.instanceOf(yield* Effect.flip(read(forged)), Signature.NotAuthentic)
    }))
})
