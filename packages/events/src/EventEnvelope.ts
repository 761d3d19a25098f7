/**
 * An event as it travels: what a publisher is given and what a consumer receives.
 *
 * The data is JSON of the schema version named beside it. Only the event's definition turns it into a typed payload, upcasting it
 * first if it is old.
 */
import * as Schema from "effect/Schema"

/**
 * `eventType` is empty where a producer in plain SQL left it NULL. `createdAt` is the producer's time by the database's clock.
 * `orderingKey` is the key whose events are delivered one after another. `sequence` is the entry's number in the outbox (a 64-bit integer in
 * decimal): of one key, later events have greater ones. Both are null where the event did not come through the outbox's table.
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
  createdAt: Schema.Date,
  orderingKey: Schema.NullOr(Schema.String),
  sequence: Schema.NullOr(Schema.String)
})

export type EventEnvelope = typeof EventEnvelope.Type
