/**
 * An event as it travels: what a publisher is given and what a consumer receives.
 *
 * The data is JSON of the schema version named beside it. Only the event's definition turns it into a typed payload, upcasting it
 * first if it is old.
 */
import * as Schema from "effect/Schema"

/**
 * `eventType` is empty where a producer in plain SQL left it NULL. `createdAt` is the producer's time by the database's clock.
 */
export const EventEnvelope = Schema.Struct({
  id: Schema.String,
  correlationId: Schema.String,
  aggregateType: Schema.NullOr(Schema.String),
  aggregateId: Schema.NullOr(Schema.String),
  eventType: Schema.String,
  schemaVersion: Schema.Int,
  data: Schema.Unknown,
  traceId: Schema.NullOr(Schema.String),
  headers: Schema.Record(Schema.String, Schema.String),
  createdAt: Schema.Date
})

export type EventEnvelope = typeof EventEnvelope.Type
