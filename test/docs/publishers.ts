/** The examples of docs/writing-a-publisher.md. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError, Transactional } from "@zakops/events/EventPublisher"
import { EventPublisher, Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"

const classify = (cause: HttpClientError): PublishError => {
  const status = cause.response?.status
  if (status === undefined) return new TransportDown({ reason: "the hook cannot be reached", cause })
  if (status === 503) return new TransportDown({ reason: "the hook is unavailable", cause })
  if (status >= 500 || status === 408 || status === 429) {
    return new Transient({ reason: `the hook says ${status}`, cause })
  }
  return new Permanent({ reason: `the hook refuses with ${status}`, cause })
}

export const layerWebhook = (url: string): Layer.Layer<EventPublisher, never, HttpClient.HttpClient> =>
  Layer.effect(
    EventPublisher,
    Effect.map(HttpClient.HttpClient, (client): External => ({
      _tag: "External",
      destination: url,
      publish: (envelope: EventEnvelope) =>
        HttpClientRequest.post(url).pipe(
          HttpClientRequest.setHeader("idempotency-key", envelope.id),
          HttpClientRequest.bodyJsonUnsafe({ id: envelope.id, type: envelope.eventType, data: envelope.data }),
          HttpClient.filterStatusOk(client).execute,
          Effect.mapError(classify),
          Effect.asVoid
        )
    }))
  )

export const layerOwnTable: Layer.Layer<EventPublisher, never, SqlClient> = Layer.effect(
  EventPublisher,
  Effect.map(SqlClient, (sql): Transactional => ({
    _tag: "Transactional",
    destination: "my_events",
    copyFrom: (entries) =>
      sql`INSERT INTO my_events (id, type, data)
        SELECT id, event_type, event_data FROM ${entries} ORDER BY seq
        ON CONFLICT (id) DO NOTHING`,
    afterCommit: Effect.void
  }))
)
