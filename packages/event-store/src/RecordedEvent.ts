/** An event as the log holds it: the envelope, and where it stands in the log and in its stream. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { envelopeOf } from "@zakops/outbox/claiming/OutboxEntry"
import { eventData } from "@zakops/outbox/claiming/storedValues"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { Cursor } from "./Cursor.ts"

export interface RecordedEvent {
  readonly envelope: EventEnvelope
  /** From 1 up within its stream; null where the event was reported by `emit` rather than decided. */
  readonly streamVersion: number | null
  readonly cursor: Cursor
}

/** A row of the log that cannot be read as an event: something else has written to the table. */
export class UnreadableRow extends Schema.TaggedError<UnreadableRow>()("UnreadableRow", {
  position: Schema.BigInt,
  reason: Schema.String
}) {
  override get message() {
    return `the event at position ${this.position} cannot be read: ${this.reason}`
  }
}

/** What `columns` selects. */
export interface LogRow {
  readonly xid: string
  readonly position: bigint
  readonly stream_version: number | null
  /** Its data is too large for the client to receive, and was left in the table. */
  readonly oversize: boolean
  readonly [column: string]: unknown
}

/**
 * The columns of an event of `log`. An older system's events may have no correlation id or time of their own. The transaction id is text
 * (sql-pg cannot decode it), so a statement that sorts by it has to say `log.xid`.
 */
export const columns = (sql: SqlClient, time: Fragment): Fragment =>
  sql`log.id, coalesce(log.correlation_id, log.id) AS correlation_id, log.aggregate_type, log.aggregate_id,
    coalesce(log.event_type, '') AS event_type, coalesce(log.schema_version, 1) AS schema_version,
    ${sql.literal(eventData("log"))},
    log.trace_id, log.headers, least(coalesce(log.created_at, ${time}), ${sql.literal(lastDate)}) AS created_at,
    log.stream_version::float8 AS stream_version, log.xid::text AS xid, log.position`

// Postgres has later times than a Date can hold, infinity among them: they are read as the last of those.
const lastDate = `'275760-09-12 00:00:00Z'::timestamptz`

export const fromRow = (row: LogRow): Result.Result<RecordedEvent, UnreadableRow> =>
  Result.mapBoth(
    envelopeOf(row),
    {
      onFailure: (reason) => new UnreadableRow({ position: row.position, reason }),
      onSuccess: (envelope) => ({
        envelope,
        streamVersion: row.stream_version,
        cursor: { xid: row.xid, position: row.position }
      })
    }
  )

/** All of the rows, or the first that cannot be read. */
export const fromRows = (rows: ReadonlyArray<LogRow>): Result.Result<Array<RecordedEvent>, UnreadableRow> =>
  Result.all(rows.map(fromRow))

/** Where a row stands that cannot be read, so that it can be parked: of its envelope only what identifies it, and no data. */
export const outlineOf = (row: LogRow): RecordedEvent => {
  const text = (column: string) => typeof row[column] === "string" ? row[column] : null
  return {
    envelope: {
      id: text("id") ?? "",
      correlationId: text("correlation_id") ?? "",
      aggregateType: text("aggregate_type"),
      aggregateId: text("aggregate_id"),
      eventType: text("event_type") ?? "",
      schemaVersion: 1,
      data: null,
      traceId: null,
      headers: {},
      createdAt: new Date(0),
      orderingKey: null,
      sequence: null
    },
    streamVersion: row.stream_version,
    cursor: { xid: row.xid, position: row.position }
  }
}
