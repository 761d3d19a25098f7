/** `OUTBOX_ENABLED=false`: events go straight to the destination, while the caller waits. No retry, no dead letter. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError, Transactional } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { NewEntry } from "./Emission.ts"
import { asRelation } from "./insertEntries.ts"

/**
 * To the database's own log in the open transaction; to anything else at once, whatever becomes of the transaction: what could be
 * promised before there was an outbox.
 */
export const publishDirectly =
  ({ now, sql }: Database, publisher: External | Transactional) =>
  (entries: ReadonlyArray<NewEntry>): Effect.Effect<void, SqlError | PublishError> => {
    if (publisher._tag === "External") {
      return Effect.flatMap(
        Clock.currentTimeMillis,
        (millis) =>
          Effect.forEach(entries, (entry) => publisher.publish(toEnvelope(entry, new Date(millis))), { discard: true })
      )
    }
    return Effect.gen(function*() {
      const time = yield* now
      const columns = sql.literal(
        "id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, headers, seq"
      )
      const relation = sql`(SELECT ${columns}, ${time} AS created_at FROM ${asRelation(sql, entries)}) AS entries`
      yield* sql`${publisher.copyFrom(relation)}`
      yield* sql.afterCommit(publisher.afterCommit)
    })
  }

const toEnvelope = (entry: NewEntry, createdAt: Date): EventEnvelope => ({
  id: entry.id,
  correlationId: entry.correlationId,
  aggregateType: entry.aggregateType,
  aggregateId: entry.aggregateId,
  eventType: entry.eventType,
  schemaVersion: entry.schemaVersion,
  data: JSON.parse(entry.data),
  traceId: entry.traceId,
  headers: JSON.parse(entry.headers),
  createdAt
})
