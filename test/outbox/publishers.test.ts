/** The contract of EventPublisher, for the event log and for an external destination as a user would write one. */
import * as EventLog from "@zakops/event-store/EventLog"
import { EventPublisher, Transient } from "@zakops/events/EventPublisher"
import { toEnvelope } from "@zakops/outbox/claiming/OutboxEntry"
import { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { Destination, eventPublisherContract } from "../support/eventPublisherContract.ts"

const decode = Schema.decodeUnknownEffect(Schema.toCodecJson(EventEnvelope))

eventPublisherContract(
  "the event log",
  Layer.effect(
    Destination,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      return {
        received:
          sql`SELECT id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id,
          headers, created_at FROM zakops.agent_events`.pipe(
            Effect.map((rows) => rows.map((row) => Result.getOrThrow(toEnvelope(row)))),
            Effect.orDie
          )
      }
    })
  ).pipe(Layer.merge(EventLog.layerPublisher))
)

eventPublisherContract(
  "an external destination with a table of its own",
  Layer.effectContext(Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* sql`CREATE TABLE IF NOT EXISTS elsewhere (id uuid PRIMARY KEY, envelope jsonb NOT NULL)`
    return Context.make(EventPublisher, {
      _tag: "External",
      destination: "elsewhere",
      publish: (envelope) =>
        sql`INSERT INTO elsewhere (id, envelope) VALUES (${envelope.id}, ${
          JSON.stringify(envelope)
        }) ON CONFLICT DO NOTHING`.pipe(
          Effect.mapError((cause) => new Transient({ reason: "elsewhere refuses", cause })),
          Effect.asVoid
        )
    }).pipe(Context.add(Destination, {
      received: sql<{ readonly envelope: unknown }>`SELECT envelope FROM elsewhere`.pipe(
        Effect.flatMap(Effect.forEach(({ envelope }) => decode(envelope))),
        Effect.orDie
      )
    }))
  }))
)
