/** Publishing without the outbox: events go straight to the destination, while the caller waits. No retry, no dead letter. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError, Transactional } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { DirectRecorder } from "./directRecorder.ts"
import type { NewEntry } from "./Emission.ts"
import { asRelation, inParts } from "./insertEntries.ts"

/**
 * To the database's own log in the open transaction; to anything else at once, whatever becomes of the transaction: what could be
 * promised before there was an outbox. What is in shadow mode is recorded for the comparison.
 */
export const publishDirectly = (db: Database, publisher: External | Transactional, recorder: DirectRecorder) =>
  publisher._tag === "External" ? callExternal(publisher, recorder) : copyInTransaction(db, publisher, recorder)

type PublishAll = (entries: ReadonlyArray<NewEntry>) => Effect.Effect<void, SqlError | PublishError>

const isShadow = ({ mode }: NewEntry) => mode === "shadow"

const callExternal = (publisher: External, recorder: DirectRecorder): PublishAll =>
  Effect.fnUntraced(function*(entries) {
    const createdAt = new Date(yield* Clock.currentTimeMillis)
    for (const entry of entries) {
      const envelope = toEnvelope(entry, createdAt)
      const published = publisher.publish(envelope)
      yield* isShadow(entry) ? Effect.onExit(published, (exit) => recorder.note(envelope, exit)) : published
    }
  })

const copyInTransaction = ({ now, sql }: Database, publisher: Transactional, recorder: DirectRecorder): PublishAll =>
  Effect.fnUntraced(function*(entries) {
    const time = yield* now
    const columns = sql.literal(
      "id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, headers, seq"
    )
    for (const part of inParts(entries)) {
      const relation = sql`(SELECT ${columns}, ${time} AS created_at FROM ${asRelation(sql, part)}) AS entries`
      yield* sql`${publisher.copyFrom(relation)}`
      const shadows = part.filter(isShadow)
      if (shadows.length > 0) yield* recorder.record(shadows)
    }
    yield* sql.afterCommit(publisher.afterCommit)
  })

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
