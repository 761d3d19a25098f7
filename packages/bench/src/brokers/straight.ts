/** Publishing without an outbox, as a program would that uses the client by itself: each message acknowledged, many on their way. */
import { jetstream } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { ProduceAcks, Producer, stringSerializers } from "@platformatic/kafka"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as RabbitConnection from "@zakops/rabbitmq/RabbitConnection"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Agent, request } from "node:http"
import { createClient } from "redis"
import { payload } from "../payload.ts"

/** Sends the n-th event and resolves when the broker has acknowledged it. */
export type Send = (n: number) => Promise<unknown>

const uuidOf = (n: number) => `00000000-0000-7000-9000-${String(n).padStart(12, "0")}`

/** As the outbox would hand it out. */
const envelopeOf = (n: number): EventEnvelope => {
  const data = payload(n)
  return {
    id: uuidOf(n),
    correlationId: data.dealId,
    aggregateType: "deal",
    aggregateId: data.dealId,
    eventType: "deal.priced",
    schemaVersion: 1,
    data,
    traceId: null,
    headers: {},
    createdAt: new Date(),
    orderingKey: null,
    sequence: String(n)
  }
}

const scoped = <A>(open: () => Promise<A>, close: (opened: A) => unknown): Effect.Effect<A, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(open),
    (opened) => Effect.promise(async () => void (await close(opened)))
  )

export const toRedis = (url: string, stream: string) =>
  Effect.map(
    scoped(async () => {
      const client = createClient({ url })
      await client.connect()
      return client
    }, (client) => client.destroy()),
    (client): Send => (n) => client.xAdd(stream, "*", { event: CloudEvent.toStructured(envelopeOf(n)) })
  )

export const toNats = (servers: string, subject: string) =>
  Effect.map(
    scoped(() => connect({ servers, noAsyncTraces: true }), (client) => client.close()),
    (client): Send => {
      const stream = jetstream(client)
      return (n) => stream.publish(subject, CloudEvent.toStructured(envelopeOf(n)), { msgID: uuidOf(n) })
    }
  )

export const toRabbit = (url: string, exchange: string, routingKey: string) =>
  Effect.map(
    RabbitConnection.open({ url, exchange }, () => {}).pipe(
      Effect.flatMap((connection) => Effect.promise(() => connection.createConfirmChannel())),
      Effect.orDie
    ),
    (channel): Send => (n) =>
      new Promise<void>((resolve, reject) => {
        const { body, contentType, headers } = CloudEvent.toBinary(envelopeOf(n), CloudEvent.amqp)
        const properties = { contentType, headers, messageId: uuidOf(n), mandatory: true, persistent: true }
        channel.publish(
          exchange,
          routingKey,
          Buffer.from(body),
          properties,
          (error: unknown) => error === null ? resolve() : reject(error as Error)
        )
      })
  )

/** Sends what comes while a request is on its way in the next one, as producers of Kafka do that linger. */
const together = (send: (ns: ReadonlyArray<number>) => Promise<unknown>): Send => {
  let waiting: Array<number> = []
  let answer: Promise<unknown> = Promise.resolve()
  let next: Promise<unknown> | undefined
  return (n) => {
    waiting.push(n)
    next ??= answer.then(() => {
      const ns = waiting
      waiting = []
      next = undefined
      return answer = send(ns)
    })
    return next
  }
}

export const toKafka = (broker: string, topic: string) =>
  Effect.map(
    scoped(
      async () =>
        new Producer<string, string, string, string>({
          clientId: "straight",
          bootstrapBrokers: [broker],
          idempotent: true,
          acks: ProduceAcks.ALL,
          producerId: -1n,
          producerEpoch: -1,
          serializers: stringSerializers,
          autocreateTopics: true
        }),
      (producer) => producer.close(true)
    ),
    (producer): Send =>
      together((ns: ReadonlyArray<number>) =>
        producer.send({
          messages: ns.map((n) => {
            const { body, headers } = CloudEvent.toBinary(envelopeOf(n), CloudEvent.kafka)
            return { topic, value: body, headers: { ...headers } }
          })
        })
      )
  )

export const toWebhook = (url: string) =>
  Effect.map(
    scoped(async () => new Agent({ keepAlive: true, maxSockets: 100 }), (agent) => agent.destroy()),
    (agent): Send => (n) =>
      new Promise((resolve, reject) => {
        const body = CloudEvent.toStructured(envelopeOf(n))
        const headers = { "content-type": CloudEvent.structuredType, "content-length": Buffer.byteLength(body) }
        request(url, { method: "POST", agent, headers }, (response) => {
          response.resume().once("end", resolve)
        }).once("error", reject).end(body)
      })
  )
