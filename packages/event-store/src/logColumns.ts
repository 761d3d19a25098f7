import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"

/** The columns that log and entry share. */
export const logColumns = (sql: SqlClient): Fragment =>
  sql.literal(
    "id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, headers"
  )
