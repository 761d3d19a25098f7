/**
 * Receives webhooks: verified, read as events, and handed to a consumer as from any other source.
 *
 * A request is answered with 204 when the consumer has handled its event, and not before: until then the event is the sender's, who sends
 * it again. So put `InboxGuard` behind it, as `Consumer` does. Nothing is kept here.
 */
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventSource } from "@zakops/events/EventSource"
import { SetAside } from "@zakops/events/EventSource"
import * as Arr from "effect/Array"
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Queue from "effect/Queue"
import * as Signature from "./Signature.ts"

export interface ReceiverSettings {
  /** A message is taken when one of them has signed it. */
  readonly secrets: Signature.Secrets
  /** How far its timestamp may be from now. 5 minutes unless given. */
  readonly tolerance?: Duration.Duration | undefined
  /**
   * Whether binary messages are taken as well: their type, subject and key are in headers that the signature does not cover. Only where
   * nobody on the way can change them. False unless given.
   */
  readonly acceptBinary?: boolean | undefined
  /** The largest body, in bytes. 8 MiB unless given, which holds the largest event of an outbox. */
  readonly maxBytes?: number | undefined
  /** How many requests wait for the consumer at most, and are handed to it together. 100 unless given. */
  readonly waiting?: number | undefined
  /** How long a request waits for the consumer. 10 seconds unless given: less than the sender's limit. */
  readonly patience?: Duration.Duration | undefined
}

/** A request as any server has it: names of headers in lower case, the body as it was received. */
export interface WebhookRequest {
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Uint8Array
}

/** What to answer with. */
export interface Reply {
  readonly status: 204 | 400 | 401 | 405 | 413 | 500 | 503
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Receiver {
  /** What is received, for `Consumer.run`. */
  readonly source: EventSource
  /** Answers one request. */
  readonly receive: (request: WebhookRequest) => Effect.Effect<Reply>
  /** The same as a route of `HttpRouter`, for POST. */
  readonly route: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest>
  /** The same for a server that speaks the web's `Request` and `Response`. */
  readonly fetch: (request: Request) => Promise<Response>
}

interface Waiting {
  readonly envelope: EventEnvelope
  readonly reply: Deferred.Deferred<Reply>
}

const reply = (status: Reply["status"], body = "", headers: Reply["headers"] = {}): Reply => ({ status, headers, body })
const taken = reply(204)
const failed = reply(500, "the event could not be handled")
// Without a time to come again: the whole receiver is away, not this event refused.
const unavailable = reply(503, "no consumer takes it at the moment")

/** Verifies a request and reads its event. */
export const decode = (settings: Pick<ReceiverSettings, "acceptBinary" | "secrets" | "tolerance">) => {
  const { acceptBinary = false, secrets, tolerance } = settings
  const keys = Signature.keysOf(secrets)
  return Effect.fnUntraced(function*({ body, headers }: WebhookRequest) {
    const id = yield* Signature.verify(yield* Effect.fromResult(keys), headers, body, tolerance)
    const contentType = headers["content-type"]
    const structured = contentType?.toLowerCase().startsWith(CloudEvent.structuredType) === true
    if (!structured && !acceptBinary) {
      return yield* new CloudEvent.NotCloudEvent({
        problem: `its content type is ${JSON.stringify(contentType)}, not ${CloudEvent.structuredType}`
      })
    }
    const message = { contentType, headers, body }
    const envelope = yield* Effect.fromResult(CloudEvent.fromMessage(message, CloudEvent.http))
    // In the binary mode the id of the event is not signed, only the message's: another one would get past the inbox.
    if (!structured && envelope.id !== id) {
      return yield* new Signature.NotAuthentic({ problem: "the event's id is not the message's" })
    }
    return envelope
  })
}

/** @param name what the source is called in logs and errors */
export const make = Effect.fnUntraced(
  function*(name: string, settings: ReceiverSettings): Effect.fn.Return<Receiver, Signature.InvalidSecret> {
    const { maxBytes = 8 * 1024 * 1024, patience = Duration.seconds(10), waiting = 100 } = settings
    yield* Effect.fromResult(Signature.keysOf(settings.secrets))
    const read = decode(settings)
    // In the order of coming; a request that is given up leaves it.
    const room = new Set<Waiting>()
    const come = yield* Queue.sliding<void>(1)

    const receive = Effect.fnUntraced(
      function*(request: WebhookRequest): Effect.fn.Return<
        Reply,
        CloudEvent.NotCloudEvent | Signature.InvalidSecret | Signature.NotAuthentic
      > {
        if (request.body.length > maxBytes) return reply(413, `more than ${maxBytes} bytes`)
        const envelope = yield* read(request)
        if (room.size >= waiting) return unavailable
        const one: Waiting = { envelope, reply: yield* Deferred.make<Reply>() }
        room.add(one)
        yield* Queue.offer(come, void 0)
        return yield* Deferred.await(one.reply).pipe(
          Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(unavailable) }),
          Effect.ensuring(Effect.sync(() => room.delete(one)))
        )
      },
      Effect.catchTags({
        NotCloudEvent: (error) => Effect.succeed(reply(400, error.message)),
        NotAuthentic: (error) => Effect.succeed(reply(401, error.message)),
        InvalidSecret: (error) => Effect.succeed(reply(500, error.message))
      })
    )

    const answerAll = (items: ReadonlyArray<Waiting>, answer: Reply) =>
      Effect.forEach(items, (item) => Deferred.succeed(item.reply, answer), { discard: true })

    const consume = <E, R>(
      handle: (batch: Arr.NonEmptyReadonlyArray<EventEnvelope>) => Effect.Effect<void, E | SetAside, R>
    ): Effect.Effect<never, E, R> => {
      /** Hands the events out; where one is set aside, those behind it once more without it. */
      const hand = (items: ReadonlyArray<Waiting>): Effect.Effect<void, E, R> =>
        !Arr.isReadonlyArrayNonEmpty(items) ? Effect.void : Effect.matchEffect(
          handle(Arr.map(items, ({ envelope }) => envelope)),
          {
            onSuccess: () => answerAll(items, taken),
            onFailure: (error) => {
              if (!(error instanceof SetAside)) return Effect.fail(error as E)
              const at = items.findIndex(({ envelope }) => envelope.id === error.eventId)
              const answered = Effect.andThen(
                answerAll(items.slice(0, at), taken),
                answerAll(items.slice(at, at + 1), later(error))
              )
              return at < 0
                ? Effect.die(new Error(`${name}: the handler set aside ${error.eventId}, which was not in its batch`))
                : Effect.andThen(answered, hand(items.slice(at + 1)))
            }
          }
        )
      const takeOn = Effect.gen(function*() {
        yield* Queue.take(come)
        const items = [...room]
        room.clear()
        yield* Effect.onError(
          hand(items),
          (cause) => answerAll(items, Cause.hasInterruptsOnly(cause) ? unavailable : failed)
        )
      })
      return Effect.forever(takeOn)
    }

    const receiveWithin = Effect.flatMap(HttpServerRequest, (request) => {
      if (request.method !== "POST") return Effect.succeed(reply(405, "only POST", { allow: "POST" }))
      return request.arrayBuffer.pipe(
        Effect.flatMap((body) => receive({ headers: request.headers, body: new Uint8Array(body) })),
        Effect.catch(({ reason }) =>
          Effect.succeed(
            "reason" in reason && reason.reason === "BodyTooLarge"
              ? reply(413, `more than ${maxBytes} bytes`)
              : reply(400, "its body cannot be read")
          )
        )
      )
    })
    const route = receiveWithin.pipe(
      Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBytes)),
      Effect.map(({ body, headers, status }) => HttpServerResponse.text(body, { status, headers }))
    )
    return { source: { name, system: "webhook", consume }, receive, route, fetch: HttpEffect.toWebHandler(route) }
  }
)

/** It stays with the sender: a build that knows it may be here in a minute; what failed is tried again when the sender's schedule says. */
const later = ({ message, reason }: SetAside): Reply =>
  reason === "newer" ? reply(503, message, { "retry-after": "60" }) : reply(500, message)
