/** The examples of docs/brokers.md about Redis Streams and Kafka. */
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { Consumer } from "@zakops/inbox"
import { KafkaPublisher, KafkaSource } from "@zakops/kafka"
import { RedisPublisher, RedisSource } from "@zakops/redis"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { DealCreated } from "./readmeExample.ts"

const mail = (eventId: string, subject: string) =>
  Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO mails (event_id, subject) VALUES (${eventId}, ${subject})`)

export const layerRedis = (url: Redacted.Redacted<string>): Layer.Layer<EventPublisher> =>
  RedisPublisher.layer({ url, stream: "events", trim: { maxLength: 1_000_000 } })

export const mailsFromRedis = (url: Redacted.Redacted<string>) =>
  Consumer.run({
    consumerId: "mailer",
    source: RedisSource.make({ url, stream: "events", group: "mailer" }),
    handlers: [Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, `New deal: ${data.title}`))]
  })

export const layerKafka = (brokers: ReadonlyArray<string>): Layer.Layer<EventPublisher> =>
  KafkaPublisher.layer({ brokers, topic: "events", createTopics: true })

export const mailsFromKafka = (brokers: ReadonlyArray<string>) =>
  Consumer.run({
    consumerId: "mailer",
    source: KafkaSource.make({ brokers, topics: ["events"], group: "mailer" }),
    handlers: [Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, `New deal: ${data.title}`))]
  })
