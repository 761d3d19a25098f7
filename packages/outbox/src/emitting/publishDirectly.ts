/**
 * Publishing without the outbox: events go straight to the destination and then to the routes that want them, while the caller waits. No
 * retry, no dead letter: what fails at one of them fails the call, and is told to none of the others.
 */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError, Transactional } from "@zakops/events/EventPublisher"
import type { Operation } from "@zakops/events/MessageOperation"
import { withOperation } from "@zakops/events/MessageOperation"
import type { Database } from "@zakops/migrations/Database"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import type { DirectRecorder } from "./directRecorder.ts"
import type { NewEntry } from "./Emission.ts"
import { asRelation, inParts } from "./insertEntries.ts"
import type { Route } from "../Routes.ts"
import { nameOf } from "../Routes.ts"
import { wantedBy } from "../routing/Routing.ts"

/**
 * To the database's own log in the open transaction; to anything else at once, whatever becomes of the transaction: what could be
 * promised before there was an outbox. What is in shadow mode is recorded for the comparison.
 */
export const publishDirectly = (
  db: Database,
  publisher: External | Transactional,
  routes: ReadonlyArray<Route>,
  recorder: DirectRecorder
): PublishAll => {
  const publish = publisher._tag === "External"
    ? callExternal(publisher, recorder)
    : copyInTransaction(db, publisher, recorder)
  const toRoutes = callRoutes(routes)
  return (entries) => Effect.andThen(publish(entries), toRoutes(entries))
}

type PublishAll = (entries: ReadonlyArray<NewEntry>) => Effect.Effect<void, SqlError | PublishError>

const isShadow = ({ mode }: NewEntry) => mode === "shadow"

const callExternal = (publisher: External, recorder: DirectRecorder): PublishAll => {
  const { destination, system } = publisher
  const sending: Operation & { readonly name: "send" } = { name: "send", destination, system }
  return Effect.fnUntraced(function*(entries) {
    const createdAt = new Date(yield* Clock.currentTimeMillis)
    for (const entry of entries) {
      const envelope = toEnvelope(entry, createdAt)
      const published = withOperation(sending, [envelope], publisher.publish(envelope))
      yield* isShadow(entry) ? Effect.onExit(published, (exit) => recorder.note(envelope, exit)) : published
    }
  })
}

const callRoutes = (routes: ReadonlyArray<Route>): PublishAll =>
  Effect.fnUntraced(function*(entries) {
    if (routes.length === 0) return
    const createdAt = new Date(yield* Clock.currentTimeMillis)
    for (const entry of entries) {
      const envelope = toEnvelope(entry, createdAt)
      const wanted = new Set(yield* wantedBy(routes, entry.eventType, Result.succeed(envelope)))
      for (const route of routes) if (wanted.has(nameOf(route))) yield* route.to.publish(envelope)
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
  createdAt,
  orderingKey: entry.orderingKey,
  sequence: null
})
