/**
 * The event log, zakops.agent_events: the default destination of the outbox. Append-only; the database refuses UPDATE and DELETE.
 *
 * An event arrives in the transaction that marks its outbox entry delivered: exactly once. The same id a second time changes nothing.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { Transactional } from "@zakops/events/EventPublisher"
import { EventPublisher } from "@zakops/events/EventPublisher"
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import { notifier } from "@zakops/outbox/connecting/Notifications"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { RestoredFromDump } from "./restoredLog.ts"
import { requireThisCluster } from "./restoredLog.ts"

/** The channel on which readers of the log are woken. */
export const channelOf = (schema: string): string => `${schema}_events`

/**
 * The log as the destination of the outbox. Fails on a log that was restored from a dump: what is delivered to it now would stand before
 * the rest.
 */
export const layerPublisher: Layer.Layer<
  EventPublisher,
  InvalidSchemaName | RestoredFromDump | SqlError,
  PgClient | SqlClient
> = Layer.effect(
  EventPublisher,
  Effect.gen(function*() {
    const db = yield* Database.make
    const { schema, sql, table } = db
    yield* requireThisCluster(db)
    const { notify } = yield* notifier
    const columns = sql.literal(
      "id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, headers, created_at"
    )
    return {
      _tag: "Transactional",
      destination: `the event log ${schema}.agent_events`,
      // In the order of writing, so that positions within one delivery follow seq.
      copyFrom: (entries) =>
        sql`INSERT INTO ${table.agentEvents} (${columns}) SELECT ${columns} FROM ${entries} ORDER BY seq ON CONFLICT (id) DO NOTHING`,
      afterCommit: Effect.sync(() => notify(channelOf(schema)))
    } satisfies Transactional
  })
)
