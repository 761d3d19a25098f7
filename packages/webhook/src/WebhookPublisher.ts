/**
 * Delivers events to one webhook: a POST for each, signed as Standard Webhooks says, with the event as a CloudEvent.
 *
 * Delivered is what was answered with 2xx. At least once: `webhook-id` is the event's id, by which the receiver knows a second delivery.
 * Events without a key are sent at the same time over `connections` connections; those of a key one after another.
 */
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External } from "@zakops/events/EventPublisher"
import { EventPublisher, Transient, TransportDown } from "@zakops/events/EventPublisher"
import type { PublishError } from "@zakops/events/EventPublisher"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { RequestOptions } from "node:https"
import { request as httpRequest } from "node:http"
import { request as httpsRequest } from "node:https"
import type { Socket } from "node:net"
import { isIP } from "node:net"
import { urlToHttpOptions } from "node:url"
import * as AddressPolicy from "./AddressPolicy.ts"
import type { Answer } from "./answer.ts"
import { heard } from "./answer.ts"
import * as guardedAgent from "./guardedAgent.ts"
import * as Signature from "./Signature.ts"

export interface WebhookSettings {
  /** Where to: https, or http where `allowHttp` says so. Without user name and password: give a header instead. */
  readonly url: string
  /** Each signs. As an effect it is asked for each event, so that secrets change without a restart. */
  readonly secrets: Signature.Secrets | Effect.Effect<Signature.Secrets>
  /**
   * How the CloudEvent is sent. `structured` (the default): all of it in the body, and so all of it signed. `binary`: the data in the body,
   * everything else in headers, which the signature does not cover.
   */
  readonly mode?: "structured" | "binary" | undefined
  /** From the beginning of a connection to the whole answer. 15 seconds unless given. */
  readonly timeout?: Duration.Duration | undefined
  /** How long a connection may take to come about. 5 seconds unless given. */
  readonly connectTimeout?: Duration.Duration | undefined
  /** How many connections are open at most. 100 unless given. */
  readonly connections?: number | undefined
  /** Sent along, for example `authorization`. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted<string>>> | undefined
  /** Whether the URL may be http, whose traffic anybody on the way reads. */
  readonly allowHttp?: boolean | undefined
  /** Ranges of addresses that may be connected to although they are not public, for example `["10.1.0.0/16"]`. */
  readonly allowNetworks?: ReadonlyArray<string> | undefined
  /** What the events say of where they come from. */
  readonly cloudEvent?: CloudEvent.Options | undefined
  /** Instead of the system's resolver. */
  readonly resolve?: guardedAgent.Resolve | undefined
}

/** A webhook's settings that cannot work. */
export class InvalidWebhook extends Schema.TaggedError<InvalidWebhook>()("InvalidWebhook", {
  setting: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `the webhook's ${this.setting} ${this.problem}`
  }
}

const invalid = (setting: string, problem: string) => Effect.fail(new InvalidWebhook({ setting, problem }))

const checkUrl = Effect.fnUntraced(function*(settings: WebhookSettings, allows: AddressPolicy.AddressPolicy) {
  if (!URL.canParse(settings.url)) return yield* invalid("url", "is no URL")
  const url = new URL(settings.url)
  const { protocol } = url
  if (protocol !== "https:" && protocol !== "http:") {
    return yield* invalid("url", `is ${protocol}, neither https nor http`)
  }
  if (protocol === "http:" && settings.allowHttp !== true) {
    return yield* invalid("url", "is http: use https, or allow it with allowHttp")
  }
  if (url.username !== "" || url.password !== "") {
    return yield* invalid("url", "has a user name or password in it, which would be logged: give a header instead")
  }
  // The parser has brought every way to write an address (0x7f.1, 2130706433) into one.
  const host = url.hostname.replace(/^\[|\]$/g, "")
  if (isIP(host) !== 0 && !allows(host)) {
    return yield* invalid("url", `leads to ${host}, which is not public: allow its range with allowNetworks`)
  }
  return { url, protocol } as const
})

const bodyLimit = 1024

/** Connections that have carried a request before. */
const used = new WeakSet<Socket>()

/**
 * Until the whole answer is there, or `ends` has come, of this process' clock. Anything else that ends the exchange is the network's.
 */
const post = (
  options: RequestOptions,
  body: string,
  ends: number,
  connectTimeout: Duration.Duration
): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const request = (options.protocol === "https:" ? httpsRequest : httpRequest)(options)
    let kept = false
    const end = (result: Effect.Effect<Answer, Error>) => {
      clearTimeout(limit)
      resume(result)
    }
    const fail = (error: Error) => end(Effect.fail(kept && isReset(error) ? new StaleConnection(error.message) : error))
    const giveUp = () => request.removeListener("error", fail).on("error", () => {}).destroy()
    const limit = setTimeout(() => {
      resume(Effect.fail(new NoAnswer()))
      giveUp()
    }, Math.max(0, ends - performance.now()))
    request.once("error", fail)
    request.once("socket", (socket) => {
      // Node's own `reusedSocket` is not set where the request had to wait for the connection.
      kept = used.has(socket)
      used.add(socket)
      if (!socket.connecting) return
      const connecting = setTimeout(() => {
        request.destroy(new NotConnected(`no connection within ${Duration.format(connectTimeout)}`))
      }, Duration.toMillis(connectTimeout))
      const connected = options.protocol === "https:" ? "secureConnect" : "connect"
      socket.once(connected, () => clearTimeout(connecting)).once("close", () => clearTimeout(connecting))
    })
    request.once("response", (response) => {
      let text = ""
      let length = 0
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => {
        if (text.length < bodyLimit) text += chunk.slice(0, bodyLimit - text.length)
        length += chunk.length
        // It has answered; how long it goes on talking is not our concern.
        if (length > 64 * bodyLimit) response.destroy()
      })
      const done = () =>
        end(Effect.succeed({
          status: response.statusCode ?? 0,
          retryAfter: response.headers["retry-after"],
          location: response.headers.location,
          text
        }))
      response.once("end", done).once("close", done).once("error", done)
    })
    request.end(body)
    return Effect.sync(() => {
      clearTimeout(limit)
      giveUp()
    })
  })

/** The whole answer did not come in time. */
class NoAnswer extends Error {
  override readonly name = "NoAnswer"
}

class NotConnected extends Error {
  override readonly name = "NotConnected"
}

/** A connection that was kept open, and that the receiver had closed before we wrote to it. */
class StaleConnection extends Error {
  override readonly name = "StaleConnection"
}

const isReset = (error: NodeJS.ErrnoException) => error.code === "ECONNRESET" || error.code === "EPIPE"

// What happens before the receiver can have seen anything of the event.
const before = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NODATA",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "ECONNABORTED",
  "EPROTO",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"
])

/** Of several addresses that were tried, Node gives one error that holds each of theirs. */
const causesOf = (error: Error): ReadonlyArray<Error> => error instanceof AggregateError ? error.errors : [error]

const failedBefore = (error: Error): boolean =>
  error instanceof NotConnected ||
  error instanceof guardedAgent.RefusedAddress ||
  causesOf(error).every((cause) => {
    const { code } = cause as NodeJS.ErrnoException
    return code !== undefined && (before.has(code) || code.startsWith("CERT_") || code.startsWith("ERR_TLS_"))
  })

/**
 * A publisher for the scope: closing it closes the connections.
 *
 * - no connection, a refused address, a bad certificate, 503 without `Retry-After`: `TransportDown`
 * - 4xx other than 408, 409, 425 and 429: `Permanent`
 * - those, 3xx and the other 5xx, no answer in time, a connection that breaks: `Transient`, with the answer's `Retry-After` of at most a day
 */
export const make = Effect.fnUntraced(
  function*(
    settings: WebhookSettings
  ): Effect.fn.Return<External, InvalidWebhook | Signature.InvalidSecret, Scope.Scope> {
    const policy = AddressPolicy.make(settings.allowNetworks)
    if (Result.isFailure(policy)) return yield* invalid("allowNetworks", `has ${policy.failure}, which is no range`)
    const { protocol, url } = yield* checkUrl(settings, policy.success)
    const { connections = 100, connectTimeout = Duration.seconds(5), secrets, timeout = Duration.seconds(15) } =
      settings
    if (!Number.isInteger(connections) || connections < 1) {
      return yield* invalid("connections", `is ${connections}, no whole number from 1 up`)
    }
    // Without the query, which may hold a token.
    const destination = `webhook ${url.origin}${url.pathname}`
    const agent = yield* Effect.acquireRelease(
      Effect.sync(() => guardedAgent.make(protocol, policy.success, connections, settings.resolve)),
      (agent) => Effect.sync(() => agent.destroy())
    )
    const fixed = Effect.isEffect(secrets) ? undefined : yield* Effect.fromResult(Signature.keysOf(secrets))
    const keys: Effect.Effect<Signature.Keys, TransportDown> = fixed !== undefined
      ? Effect.succeed(fixed)
      : Effect.flatMap(
        secrets as Effect.Effect<Signature.Secrets>,
        (given) =>
          Effect.mapError(
            Effect.fromResult(Signature.keysOf(given)),
            (error) => new TransportDown({ reason: error.message })
          )
      )
    const own: Record<string, string> = {}
    for (const [name, value] of Object.entries(settings.headers ?? {})) {
      own[name.toLowerCase()] = Redacted.isRedacted(value) ? Redacted.value(value) : value
    }

    const messageOf = (envelope: EventEnvelope) => {
      if (settings.mode === "binary") return CloudEvent.toBinary(envelope, CloudEvent.http, settings.cloudEvent)
      const body = CloudEvent.toStructured(envelope, settings.cloudEvent)
      return { contentType: CloudEvent.structuredType, headers: {}, body }
    }

    const failed = (error: Error): PublishError =>
      error instanceof NoAnswer
        ? new Transient({ reason: `no answer from ${destination} within ${Duration.format(timeout)}` })
        : failedBefore(error)
        ? new TransportDown({ reason: `${destination} cannot be reached`, cause: error })
        : new Transient({ reason: `the exchange with ${destination} broke off`, cause: error })

    // What an URL would be taken apart to for each request.
    const target: RequestOptions = { ...urlToHttpOptions(url), agent, method: "POST" }
    /** Kept connections that turn out to be closed are passed over, within the same time. */
    const send = (
      options: RequestOptions,
      body: string,
      ends = performance.now() + Duration.toMillis(timeout),
      stale = 0
    ): Effect.Effect<Answer, PublishError> =>
      Effect.catch(
        post(options, body, ends, connectTimeout),
        (error) =>
          error instanceof StaleConnection && stale < connections
            ? send(options, body, ends, stale + 1)
            : Effect.fail(failed(error))
      )

    const publish = Effect.fnUntraced(function*(envelope: EventEnvelope) {
      const message = messageOf(envelope)
      const { id } = envelope
      const timestamp = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      const headers = {
        "user-agent": "zakops-outbox",
        ...own,
        ...message.headers,
        ...Signature.sign(yield* keys, { id, timestamp, body: message.body }),
        "content-type": message.contentType,
        "content-length": Buffer.byteLength(message.body)
      }
      const answer = yield* send({ ...target, headers }, message.body)
      yield* Effect.fromResult(heard(destination, answer, yield* Clock.currentTimeMillis))
    })
    return { _tag: "External", destination, system: "webhook", publish }
  }
)

/** As the outbox's publisher. */
export const layer = (
  settings: WebhookSettings
): Layer.Layer<EventPublisher, InvalidWebhook | Signature.InvalidSecret> => Layer.effect(EventPublisher, make(settings))
