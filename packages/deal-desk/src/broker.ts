/**
 * Which broker the events of the deal desk leave to, chosen by one variable: DEAL_DESK_PUBLISHER, `log` unless given.
 *
 * The event log has every event in any case, and the projections read it there. With a broker, a route takes every event to that as well,
 * and the mailer reads them from it. With `webhook` and no WEBHOOK_URL this process sends them to itself, over a real request.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import type { EventSource } from "@zakops/events/EventSource"
import { KafkaPublisher, KafkaSource } from "@zakops/kafka"
import { NatsPublisher, NatsSource } from "@zakops/nats"
import { oneOf, read } from "@zakops/outbox/connecting/readSetting"
import { Routes, routeTo } from "@zakops/outbox/Routes"
import { RabbitPublisher, RabbitSource } from "@zakops/rabbitmq"
import { RedisPublisher, RedisSource } from "@zakops/redis"
import { WebhookPublisher, WebhookReceiver } from "@zakops/webhook"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import { createServer } from "node:http"

const choices = ["log", "nats", "rabbitmq", "redis", "kafka", "webhook"] as const

/** Where the mailer reads: none where it reads the log. */
export class MailerSource extends Context.Service<MailerSource, Option.Option<EventSource>>()(
  "@zakops/deal-desk/MailerSource"
) {}

interface Broker<out E> {
  readonly publisher: Layer.Layer<EventPublisher, E>
  readonly source: EventSource | undefined
}

const text = (variable: string, fallback: string) => Config.withDefault(Config.String(variable), fallback)
const redacted = (variable: string, fallback: string) =>
  Config.withDefault(Config.Redacted(variable), Redacted.make(fallback))

/** NATS_URL, `nats://127.0.0.1:4222` unless given, with user and password if there are any; the stream DEAL_DESK is made where it is missing. */
const nats = Effect.map(redacted("NATS_URL", "nats://127.0.0.1:4222"), (given) => {
  const { host, password, username } = new URL(Redacted.value(given))
  const login = username === "" ? {} : { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
  const options = {
    connection: { servers: host, ...login },
    stream: "DEAL_DESK",
    subjectPrefix: "deal-desk",
    create: {}
  }
  return { publisher: NatsPublisher.layer(options), source: NatsSource.make({ ...options, consumer: "mailer" }) }
})

/** RABBITMQ_URL, `amqp://127.0.0.1` unless given; exchange and queue are made where they are missing. */
const rabbitmq = Effect.map(redacted("RABBITMQ_URL", "amqp://127.0.0.1"), (url) => {
  const queue = "deal-desk.mailer"
  const options = { url: Redacted.value(url), exchange: "deal-desk", queues: [{ name: queue }], create: true }
  return { publisher: RabbitPublisher.layer(options), source: RabbitSource.make({ ...options, queue }) }
})

/** REDIS_URL, `redis://127.0.0.1:6379` unless given. */
const redis = Effect.map(redacted("REDIS_URL", "redis://127.0.0.1:6379"), (url) => {
  const options = { url, stream: "deal-desk", trim: { maxLength: 1_000_000 } }
  return { publisher: RedisPublisher.layer(options), source: RedisSource.make({ ...options, group: "mailer" }) }
})

/** KAFKA_BROKERS, `127.0.0.1:9092` unless given, several with commas between. */
const kafka = Effect.map(text("KAFKA_BROKERS", "127.0.0.1:9092"), (list) => {
  const topic = "deal-desk"
  const options = { brokers: list.split(","), topic, createTopics: true }
  return {
    publisher: KafkaPublisher.layer(options),
    source: KafkaSource.make({ ...options, topics: [topic], group: "mailer" })
  }
})

/** WEBHOOK_URL with WEBHOOK_SECRET, or else a receiver of this process on a free port of the loopback, which feeds the mailer. */
const webhook = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("WEBHOOK_URL"))
  if (Option.isSome(given)) {
    const secret = yield* Config.Redacted("WEBHOOK_SECRET")
    return { publisher: WebhookPublisher.layer({ url: given.value, secrets: [secret] }), source: undefined }
  }
  const secrets = [Redacted.make(`whsec_${randomBytes(32).toString("base64")}`)] as const
  const { route, source } = yield* WebhookReceiver.make("the mailer's webhook", { secrets })
  const served = yield* Layer.build(
    HttpRouter.serve(HttpRouter.add("POST", "/mailer", route), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }))
    )
  )
  const address = HttpServer.formatAddress(Context.get(served, HttpServer.HttpServer).address)
  const publisher = WebhookPublisher.layer({
    url: `${address}/mailer`,
    secrets,
    allowHttp: true,
    allowNetworks: ["127.0.0.0/8"]
  })
  return { publisher, source }
})

const brokers = { nats, rabbitmq, redis, kafka, webhook }

/** The routes of the outbox and the source of the mailer. Fails with `InvalidSetting` where the variable names no broker. */
export const layerBroker = Layer.unwrap(Effect.gen(function*() {
  const chosen = yield* read(oneOf("DEAL_DESK_PUBLISHER", "log", choices))
  if (chosen === "log") return Layer.succeed(MailerSource, Option.none())
  return Layer.effectContext(Effect.gen(function*() {
    const broker: Broker<unknown> = yield* brokers[chosen]
    // Named as it was chosen: entries that wait carry it.
    const route = yield* routeTo(broker.publisher, { name: chosen })
    return Context.make(MailerSource, Option.fromUndefinedOr(broker.source)).pipe(Context.add(Routes, [route]))
  }))
}))
