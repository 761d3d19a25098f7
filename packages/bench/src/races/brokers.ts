/**
 * Events out to each broker: through the outbox, whose table is full, against publishing straight to it with the same client and as many
 * messages on their way. Both are at their end when all is acknowledged; ours when the database knows that as well.
 */
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { OutboxProcessor } from "@zakops/outbox/OutboxProcessor"
import { KafkaPublisher } from "@zakops/kafka"
import { NatsPublisher } from "@zakops/nats"
import { RabbitPublisher } from "@zakops/rabbitmq"
import { RedisPublisher } from "@zakops/redis"
import { WebhookPublisher } from "@zakops/webhook"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { isInstalled } from "../brokers/machine.ts"
import { rabbitCommand } from "../brokers/rabbitNode.ts"
import * as servers from "../brokers/servers.ts"
import type { Send } from "../brokers/straight.ts"
import * as straight from "../brokers/straight.ts"
import { times } from "../Goal.ts"
import { measured, untilTrue } from "../measure.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { allFinished, emitMany } from "../ours/drain.ts"
import { layerExternal, ours, takesAll } from "../ours/services.ts"
import { range } from "../payload.ts"
import { draining } from "../peers/Drainer.ts"

/** Calls at the same time: what OUTBOX_CONCURRENCY is unless given. */
const concurrency = 100
/** How many each sends before it is measured: connections are opened, code is compiled. */
const warmUp = 500

interface Broker {
  readonly name: string
  /** What has to be installed for it. */
  readonly command: string
  readonly server: Effect.Effect<string, never, Scope.Scope>
  readonly publisher: (at: string) => Layer.Layer<EventPublisher, unknown>
  readonly straight: (at: string) => Effect.Effect<Send, never, Scope.Scope>
  readonly client: string
}

const settings = { batchSize: 1000, concurrency }

/** Ours with a publisher to something that is there for as long as the scope. */
const throughOutbox = <E>(
  about: Omit<Contestant, "run" | "settings">,
  open: Effect.Effect<Layer.Layer<EventPublisher, E>, never, Scope.Scope>
) =>
  draining(
    { ...about, settings: "OUTBOX_BATCH_SIZE 1000, OUTBOX_CONCURRENCY 100, default pool of 4" },
    (url) =>
      Effect.gen(function*() {
        const services = yield* ours(url, { publisher: yield* open, settings })
        const { drain, start } = Context.get(services, OutboxProcessor)
        // Runs take seconds, and looking costs what is measured.
        const finished = yield* untilTrue(url, allFinished, "25 millis")
        return {
          fill: (count) =>
            Effect.provideContext(Effect.andThen(emitMany(warmUp), Effect.andThen(drain, emitMany(count))), services),
          drain: () => Effect.andThen(start, finished)
        }
      })
  )

const race = ({ client, command, name, publisher, server, straight }: Broker): Race | undefined =>
  isInstalled(command)
    ? {
      name: `to ${name}`,
      unit: "events/s",
      size: 30_000,
      quickSize: 5_000,
      contestants: [
        throughOutbox({ name: "through the outbox" }, Effect.map(server, publisher)),
        {
          name: "straight",
          settings: `${client}, 100 messages on their way, each acknowledged; nothing is kept anywhere before`,
          run: (url, size) =>
            Effect.gen(function*() {
              const send = yield* straight(yield* server)
              yield* Effect.forEach(range(warmUp), (n) => Effect.promise(() => send(-1 - n)), {
                concurrency,
                discard: true
              })
              return yield* measured(url, size, Effect.promise(() => many(size, send)))
            })
        },
        throughOutbox(
          { name: "through the outbox to a destination that does nothing", bound: true },
          Effect.succeed(layerExternal(takesAll(() => {})))
        )
      ],
      goals: [times("through the outbox", "straight", 0.8)]
    }
    : undefined

/** Without Effect: as a program does that knows nothing of ours. */
const many = async (count: number, send: Send) => {
  let next = 0
  const one = async () => {
    while (next < count) await send(next++)
  }
  await Promise.all(Array.from({ length: concurrency }, one))
}

const secrets = [Redacted.make(`whsec_${Buffer.alloc(32, 1).toString("base64")}`)] as const

const brokers: ReadonlyArray<Broker> = [
  {
    name: "NATS JetStream",
    command: "nats-server",
    server: servers.natsServer,
    client: "@nats-io/jetstream",
    publisher: (at) => NatsPublisher.layer({ connection: { servers: at }, stream: "EVENTS", create: {} }),
    straight: (at) =>
      Effect.scoped(Effect.gen(function*() {
        // Makes the stream.
        const { publish } = yield* NatsPublisher.make({ connection: { servers: at }, stream: "EVENTS", create: {} })
        yield* Effect.orDie(publish(firstEvent))
      })).pipe(Effect.andThen(straight.toNats(at, "events.deal.priced")))
  },
  {
    name: "RabbitMQ",
    command: rabbitCommand,
    server: servers.rabbitServer,
    client: "amqplib, one confirm channel, a quorum queue",
    publisher: (url) => RabbitPublisher.layer(rabbit(url)),
    straight: (url) =>
      Effect.scoped(Effect.gen(function*() {
        // Makes the exchange and the queue.
        const { publish } = yield* RabbitPublisher.make(rabbit(url))
        yield* Effect.orDie(publish(firstEvent))
      })).pipe(Effect.andThen(straight.toRabbit(url, "events", "deal.priced")))
  },
  {
    name: "Redis Streams",
    command: "redis-server",
    server: servers.redisServer,
    client: "redis, appendfsync always",
    publisher: (at) => RedisPublisher.layer({ url: Redacted.make(at), stream: "events", trim: "never" }),
    straight: (at) => straight.toRedis(at, "events")
  },
  {
    name: "Kafka (mock cluster of librdkafka)",
    command: "kcat",
    server: servers.kafkaCluster,
    client: "@platformatic/kafka, idempotent, in one request what comes while another is on its way",
    publisher: (at) => KafkaPublisher.layer({ brokers: [at], topic: "events", createTopics: true }),
    straight: (at) => straight.toKafka(at, "events")
  },
  {
    name: "a webhook",
    command: "sh",
    server: servers.webhookServer,
    client: "node:http, 100 connections, not signed",
    publisher: (at) => WebhookPublisher.layer({ url: at, secrets, allowHttp: true, allowNetworks: ["127.0.0.0/8"] }),
    straight: straight.toWebhook
  }
]

const rabbit = (url: string) => ({ url, exchange: "events", queues: [{ name: "all" }], create: true })

const firstEvent = {
  id: "00000000-0000-7000-9000-ffffffffffff",
  correlationId: "00000000-0000-7000-9000-ffffffffffff",
  aggregateType: null,
  aggregateId: null,
  eventType: "deal.priced",
  schemaVersion: 1,
  data: null,
  traceId: null,
  headers: {},
  createdAt: new Date(0),
  orderingKey: null,
  sequence: null
}

/** Those whose servers are installed here. */
export const brokerRaces: ReadonlyArray<Race> = brokers.map(race).filter((one) => one !== undefined)
