/** The columns that an envelope is read from, of the outbox as `o`, with their defaults. */
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"

/** `event_data` is NULL and `oversize` true where the data is larger than 12 MiB, more than the client receives (see claimEntries). */
export const eventColumns = (sql: SqlClient, time: Fragment): Fragment =>
  sql`o.id, o.correlation_id, o.aggregate_type, o.aggregate_id, coalesce(o.event_type, '') AS event_type,
    coalesce(o.schema_version, 1) AS schema_version, o.trace_id, coalesce(o.headers, '{}') AS headers,
    coalesce(o.created_at, ${time}) AS created_at, CASE WHEN ${
    sql.literal(oversize)
  } THEN NULL ELSE o.event_data END AS event_data,
    ${sql.literal(oversize)} AS oversize`

const oversize = "coalesce(pg_column_size(o.event_data) > 32768 AND octet_length(o.event_data::text) > 12582912, false)"
