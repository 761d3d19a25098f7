/** The columns that an envelope is read from, of the outbox as `o`, with their defaults. */
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import { eventData } from "../claiming/storedValues.ts"

/** The id of the event of an entry `o`: an entry of a route takes the event that another one has brought to the main destination. */
export const eventId = "CASE WHEN o.destination IS NULL THEN o.id ELSE coalesce(o.event_id, o.id) END"

/** `event_data` is NULL and `oversize` true where the data is too large (see storedValues). */
export const eventColumns = (sql: SqlClient, time: Fragment): Fragment =>
  sql`o.id, o.event_id, o.destination, o.correlation_id, o.aggregate_type, o.aggregate_id, coalesce(o.event_type, '') AS event_type,
    coalesce(o.schema_version, 1) AS schema_version, o.trace_id, coalesce(o.headers, '{}') AS headers,
    coalesce(o.created_at, ${time}) AS created_at, ${sql.literal(eventData("o"))}`
