/** The examples of docs/brokers.md. */
import { nanos } from "@nats-io/nats-core"
import * as EventLog from "@zakops/event-store/EventLog"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { Consumer } from "@zakops/inbox"
import { NatsPublisher, NatsSource } from "@zakops/nats"
import { layerRoutes, OutboxLive, routeTo } from "@zakops/outbox"
import { RabbitPublisher, RabbitSource } from "@zakops/rabbitmq"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { DealCreated } from "./readmeExample.ts"

const mail = (eventId: string, subject: string) =>
  Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO mails (event_id, subject) VALUES (${eventId}, ${subject})`)

export const beside = (broker: Layer.Layer<EventPublisher>) =>
  OutboxLive.pipe(
    Layer.provide(layerRoutes([routeTo(broker, { name: "broker" })])),
    Layer.provide(EventLog.layerPublisher)
  )

export const layerNats = (servers: string): Layer.Layer<EventPublisher> =>
  NatsPublisher.layer({
    connection: { servers, user: "outbox", pass: "from your secrets" },
    stream: "EVENTS",
    create: { num_replicas: 1, max_age: nanos(30 * 24 * 60 * 60 * 1000) }
  })

export const mailsFromNats = (servers: string) =>
  Consumer.run({
    consumerId: "mailer",
    source: NatsSource.make({
      connection: { servers, user: "outbox", pass: "from your secrets" },
      stream: "EVENTS",
      consumer: "mailer",
      subjects: ["events.deal.>"]
    }),
    handlers: [Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, `New deal: ${data.title}`))]
  })

export const layerRabbit = (url: string): Layer.Layer<EventPublisher> =>
  RabbitPublisher.layer({
    url,
    exchange: "events",
    queues: [{ name: "mailer", keys: ["deal.#"] }, { name: "audit" }],
    create: true
  })

export const mailsFromRabbit = (url: string) =>
  Consumer.run({
    consumerId: "mailer",
    source: RabbitSource.make({ url, exchange: "events", queue: "mailer" }),
    handlers: [Consumer.on(DealCreated, ({ data, envelope }) => mail(envelope.id, `New deal: ${data.title}`))]
  })
