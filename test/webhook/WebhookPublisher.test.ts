/** The webhook publisher: the contract of every publisher, what it says of each answer, and where it does not go. */
import { assert, layer } from "@effect/vitest"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { WebhookPublisher } from "@zakops/webhook"
import * as AddressPolicy from "@zakops/webhook/AddressPolicy"
import * as guardedAgent from "@zakops/webhook/guardedAgent"
import { retryAfterOf } from "@zakops/webhook/answer"
import { decode } from "@zakops/webhook/WebhookReceiver"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import { request } from "node:http"
import { connect, createServer } from "node:net"
import { Destination, eventPublisherContract } from "../support/eventPublisherContract.ts"
import type { WebhookServer } from "../support/webhookServer.ts"
import { webhookServer } from "../support/webhookServer.ts"

const secret = Redacted.make(`whsec_${Buffer.alloc(24, 1).toString("base64")}`)
const local = { secrets: [secret], allowHttp: true, allowNetworks: ["127.0.0.1/32"] } as const

const publisher = (url: string, settings: Partial<WebhookPublisher.WebhookSettings> = {}) =>
  WebhookPublisher.make({ ...local, url, ...settings })

const envelope = (given: Partial<EventEnvelope> = {}): EventEnvelope => ({
  id: randomUUID(),
  correlationId: randomUUID(),
  aggregateType: "deal",
  aggregateId: "1",
  eventType: "deal.made",
  schemaVersion: 1,
  data: { title: "ünï" },
  traceId: null,
  headers: {},
  createdAt: new Date(1_700_000_000_000),
  orderingKey: "deal/1",
  sequence: "1",
  ...given
})

/** Answers with `status` and `headers` from now on. */
const answering = (server: WebhookServer, status: number, headers: Record<string, string> = {}, body = "") => {
  server.answer = (_, response) => response.writeHead(status, headers).end(body)
}

const receivedBy = (server: WebhookServer) =>
  Effect.map(
    Effect.forEach(server.requests, ({ body, headers }) =>
      Effect.orDie(decode({ ...local, acceptBinary: true })({ headers: headers as Record<string, string>, body }))),
    (all) => [...new Map(all.map((event) => [event.id, event])).values()]
  )

for (const mode of ["structured", "binary"] as const) {
  eventPublisherContract(
    `a webhook, ${mode}`,
    Layer.effectContext(Effect.gen(function*() {
      const server = yield* webhookServer()
      return Context.make(EventPublisher, yield* publisher(server.url, { mode })).pipe(
        Context.add(Destination, { received: receivedBy(server) })
      )
    }))
  )
}

layer(Layer.empty, { excludeTestServices: true })("WebhookPublisher", (it) => {
  it.effect("sends a structured CloudEvent, signed with each secret, under the event's id", () =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const second = Redacted.make(`whsec_${Buffer.alloc(24, 2).toString("base64")}`)
      const { publish } = yield* publisher(server.url, {
        secrets: [secret, second],
        headers: { Authorization: Redacted.make("Bearer t") }
      })
      const event = envelope()
      yield* publish(event)
      const [{ body, headers } = assert.fail("nothing came")] = server.requests
      assert.strictEqual(headers["content-type"], CloudEvent.structuredType)
      assert.strictEqual(headers["webhook-id"], event.id)
      assert.strictEqual(headers["authorization"], "Bearer t")
      for (const one of [secret, second]) {
        const given = { headers: headers as Record<string, string>, body }
        assert.deepStrictEqual(yield* decode({ secrets: [one] })(given), event)
      }
    }))

  it.effect("signs with the secrets of the moment", () =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const later = Redacted.make(`whsec_${Buffer.alloc(24, 3).toString("base64")}`)
      let now = secret
      const { publish } = yield* publisher(server.url, { secrets: Effect.sync(() => [now] as const) })
      yield* publish(envelope())
      now = later
      yield* publish(envelope())
      const [first, last] = server.requests.map(({ body, headers }) => ({ body, headers: headers as never }))
      yield* decode({ secrets: [secret] })(first!)
      yield* decode({ secrets: [later] })(last!)
      now = Redacted.make("whsec_bad")
      assert.strictEqual((yield* Effect.flip(publish(envelope())))._tag, "TransportDown")
    }))

  it.effect.each(
    [
      [200, "Delivered"],
      [202, "Delivered"],
      [301, "Transient"],
      [307, "Transient"],
      [400, "Permanent"],
      [401, "Permanent"],
      [404, "Permanent"],
      [408, "Transient"],
      [409, "Transient"],
      [410, "Permanent"],
      [413, "Permanent"],
      [425, "Transient"],
      [429, "Transient"],
      [500, "Transient"],
      [502, "Transient"],
      [503, "TransportDown"],
      [504, "Transient"]
    ] as const
  )("takes the answer %s for what it is", ([status, outcome]) =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const { publish } = yield* publisher(server.url)
      answering(server, status, { location: `${server.url}/elsewhere` }, "what was wrong")
      const result = yield* Effect.result(publish(envelope()))
      assert.strictEqual(Result.isSuccess(result) ? "Delivered" : result.failure._tag, outcome)
      if (Result.isFailure(result)) assert.include(result.failure.message, String(status))
      // No redirect is followed.
      assert.deepStrictEqual(server.requests.map(({ url }) => url), ["/hook"])
    }))

  it.effect("waits as long as the answer asks for", () =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const { publish } = yield* publisher(server.url)
      for (const status of [429, 503, 500]) {
        answering(server, status, { "retry-after": "120" })
        const error = yield* Effect.flip(publish(envelope()))
        assert.deepStrictEqual(error._tag === "Transient" && error.retryAfter, Duration.seconds(120))
      }
    }))

  it("reads Retry-After as seconds or as a date, of at most a day", () => {
    const now = Date.parse("Wed, 25 Nov 2026 10:00:00 GMT")
    const seconds = (header: string | undefined) => {
      const duration = retryAfterOf(header, now)
      return duration === undefined ? undefined : Duration.toSeconds(duration)
    }
    assert.strictEqual(seconds("0"), 0)
    assert.strictEqual(seconds(" 7 "), 7)
    assert.strictEqual(seconds("Wed, 25 Nov 2026 10:01:30 GMT"), 90)
    assert.strictEqual(seconds("Wed, 25 Nov 2026 09:00:00 GMT"), 0)
    assert.strictEqual(seconds("999999999"), 86_400)
    // The older forms of a date; the last names no zone.
    assert.strictEqual(seconds("Wednesday, 25-Nov-26 10:01:30 GMT"), 90)
    assert.strictEqual(seconds("Wed Nov 25 10:01:30 2026"), 90)
    // What the parser of dates would take for one: no reason to try again at once.
    for (const header of ["-5", "+5", "1.5", "2026-11-25", "1/2", "Wed"]) {
      assert.strictEqual(seconds(header), undefined, header)
    }
    assert.strictEqual(seconds("soon"), undefined)
    assert.strictEqual(seconds(""), undefined)
    assert.strictEqual(seconds(undefined), undefined)
  })

  it.effect("is down where nothing listens, and delivers when something does", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.scoped(webhookServer())
      const { publish } = yield* publisher(`http://127.0.0.1:${port}/hook`)
      assert.strictEqual((yield* Effect.flip(publish(envelope())))._tag, "TransportDown")
      yield* webhookServer("127.0.0.1", port)
      yield* publish(envelope())
    }))

  it.effect("does not charge for a kept connection that the receiver closes", () =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const { publish } = yield* publisher(server.url, { connections: 1 })
      yield* publish(envelope())
      server.answer = (_, response) => {
        answering(server, 204)
        response.destroy()
      }
      yield* publish(envelope())
      assert.lengthOf(server.requests, 3)
      assert.strictEqual(server.connections(), 2)
    }))

  it.effect("is transient where no answer comes in time, or the connection breaks", () =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const { publish } = yield* publisher(server.url, { timeout: Duration.millis(100) })
      server.answer = () => {}
      const late = yield* Effect.flip(publish(envelope()))
      assert.strictEqual(late._tag, "Transient")
      assert.include(late.message, "within 100ms")
      server.answer = (_, response) => response.destroy()
      assert.strictEqual((yield* Effect.flip(publish(envelope())))._tag, "Transient")
    }))

  it.effect("reads no more of a long answer than it needs", () =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const { publish } = yield* publisher(server.url)
      server.answer = (_, response) => {
        response.writeHead(400)
        const more = () => response.write("x".repeat(65_536), () => setImmediate(more))
        more()
      }
      const error = yield* Effect.flip(publish(envelope()))
      assert.strictEqual(error._tag, "Permanent")
      assert.isBelow(error.message.length, 400)
    }))

  it.effect("refuses settings that cannot work or leak, by name", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<readonly [Partial<WebhookPublisher.WebhookSettings>, string]> = [
        [{ url: "nowhere" }, "url is no URL"],
        [{ url: "ftp://example.com" }, "neither https nor http"],
        [{ url: "http://example.com", allowHttp: false }, "allowHttp"],
        [{ url: "https://user:hunter2@example.com" }, "give a header instead"],
        [{ url: "https://10.0.0.1/" }, "not public"],
        [{ url: "https://[::1]/" }, "not public"],
        // Other ways to write 127.0.0.2.
        [{ url: "https://2130706434/" }, "leads to 127.0.0.2"],
        [{ url: "https://0x7f.0.2/" }, "leads to 127.0.0.2"],
        [{ url: "https://[::ffff:127.0.0.2]/" }, "not public"],
        [{ allowNetworks: ["10.0.0.0"] }, "no range"],
        [{ connections: 0 }, "connections"],
        [{ secrets: [Redacted.make("whsec_hunter2")] }, "webhook secret 1"]
      ]
      for (const [settings, words] of bad) {
        const { message } = yield* Effect.flip(publisher("https://example.com", settings))
        assert.include(message, words)
        assert.notInclude(message, "hunter2")
      }
    }))

  it.effect("does not go where a name leads to an address that is not allowed", () =>
    Effect.gen(function*() {
      const server = yield* webhookServer()
      const settings = { allowNetworks: [] }
      const { publish } = yield* publisher(`http://localhost:${server.port}/hook`, settings)
      const error = yield* Effect.flip(publish(envelope()))
      assert.strictEqual(error._tag, "TransportDown")
      assert.strictEqual(server.connections(), 0)
    }))

  it.effect("does not follow a name that leads elsewhere after it was checked", () =>
    Effect.gen(function*() {
      const inside = yield* webhookServer("127.0.0.1")
      const outside = yield* webhookServer("127.0.0.2", inside.port)
      let address = "127.0.0.2"
      const { publish } = yield* publisher(`http://hook.example:${inside.port}/hook`, {
        allowNetworks: ["127.0.0.2/32"],
        headers: { connection: "close" },
        resolve: (_, __, done) => done(null, [{ address, family: 4 }])
      })
      yield* publish(envelope())
      address = "127.0.0.1"
      const error = yield* Effect.flip(publish(envelope()))
      assert.strictEqual(error._tag, "TransportDown")
      assert.lengthOf(outside.requests, 1)
      assert.strictEqual(inside.connections(), 0)
    }))

  it.effect("sends nothing over a connection that has come about with an address that is not allowed", () =>
    Effect.gen(function*() {
      let bytes = 0
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<ReturnType<typeof createServer>>((resolve) => {
            const started = createServer((socket) =>
              socket.on("data", (data) => bytes += data.length).on("error", () => {})
            )
            started.listen(0, "127.0.0.1", () => resolve(started))
          })
        ),
        (server) => Effect.sync(() => server.close())
      )
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      // An address in place of a name is not looked up.
      const agent = guardedAgent.make("http:", Result.getOrThrow(AddressPolicy.make()), 1)
      const error = yield* Effect.promise(() =>
        new Promise((resolve) => request({ agent, host: "127.0.0.1", port }).once("error", resolve).end("secret"))
      )
      assert.instanceOf(error, guardedAgent.RefusedAddress)
      // What comes after it has come shows that nothing had before.
      yield* Effect.promise(() => new Promise((resolve) => connect(port, "127.0.0.1", () => resolve(null)).end()))
      assert.strictEqual(bytes, 0)
    }))
})
