/** The columns of an event of the log as the API gives it, and what they become. */
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { LoggedEvent } from "../api/streams.ts"
import { jsonColumns } from "./jsonColumns.ts"
import { toTime } from "./rowValues.ts"

export interface LoggedRow {
  readonly id: string
  readonly eventType: string
  readonly schemaVersion: number
  readonly aggregateType: string | null
  readonly aggregateId: string | null
  readonly streamVersion: string | null
  readonly correlationId: string
  readonly traceId: string | null
  readonly createdAt: unknown
  readonly position: string
  readonly xid: string
  readonly headers: string | null
  readonly data: string | null
  readonly dataBytes: number
}

/** Of the log as `log`: what `LoggedRow` says. */
export const loggedColumns = (sql: SqlClient): Fragment =>
  sql`log.id, coalesce(log.event_type, '') AS "eventType", coalesce(log.schema_version, 1) AS "schemaVersion",
    log.aggregate_type AS "aggregateType", log.aggregate_id AS "aggregateId", log.stream_version::text AS "streamVersion",
    coalesce(log.correlation_id, log.id) AS "correlationId", log.trace_id AS "traceId", log.created_at AS "createdAt",
    log.position::text AS position, log.xid::text AS xid, ${jsonColumns(sql, "log")}`

export const toLogged = (row: LoggedRow): LoggedEvent => ({
  id: row.id,
  eventType: row.eventType,
  schemaVersion: row.schemaVersion,
  aggregateType: row.aggregateType,
  aggregateId: row.aggregateId,
  streamVersion: row.streamVersion === null ? null : BigInt(row.streamVersion),
  correlationId: row.correlationId,
  traceId: row.traceId,
  createdAt: toTime(row.createdAt),
  position: BigInt(row.position),
  headers: row.headers ?? "{}",
  data: row.data,
  dataBytes: row.dataBytes,
  masked: false
})
