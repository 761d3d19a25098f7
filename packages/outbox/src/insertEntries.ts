/** Writes entries to zakops.outbox, in the transaction that is open. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { NewEntry } from "./Emission.ts"

/** One entry, due now. */
export const insertEntry = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entry: NewEntry) {
    const time = yield* now
    yield* sql`
      INSERT INTO ${table.outbox} (id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data,
        trace_id, headers, max_attempts, next_attempt_at, created_at)
      VALUES (${entry.id}, ${entry.correlationId}, ${entry.aggregateType}, ${entry.aggregateId}, ${entry.eventType},
        ${entry.schemaVersion}, ${entry.data}, ${entry.traceId}, ${entry.headers}, ${entry.maxAttempts}, ${time}, ${time})`
  })

/** Many entries, due now, numbered by seq in the order given: one statement for each part that `inParts` makes. */
export const insertEntries = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entries: ReadonlyArray<NewEntry>) {
    const time = yield* now
    for (const part of inParts(entries)) {
      yield* sql`${insertFrom(sql, table, asRelation(sql, part), time)}`
    }
  })

/** The statement that writes the rows of `entries`, a relation with the columns of `asRelation`, as entries that are due at `time`. */
export const insertFrom = (
  sql: SqlClient,
  table: Database["table"],
  entries: Fragment,
  time: Fragment
): Fragment =>
  sql`INSERT INTO ${table.outbox} (id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data,
      trace_id, headers, max_attempts, next_attempt_at, created_at)
    SELECT id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data,
      trace_id, headers, max_attempts, ${time}, ${time}
    FROM ${entries} ORDER BY seq`

/**
 * The entries as a relation with the columns of the outbox, to stand after FROM; seq numbers them in the order given, from 0.
 *
 * A single one is a row of parameters: half the work for Postgres (a whole append: 4,500 against 7,800 a second). Many are one JSON
 * parameter: sql-pg cannot bind an array of only NULLs, and a VALUES list makes new statement text for every length (18 ms for 1,000 rows
 * against 26).
 */
export const asRelation = (sql: SqlClient, entries: ReadonlyArray<NewEntry>): Fragment => {
  const [entry] = entries
  return entries.length === 1 && entry !== undefined ? asRow(sql, entry) : asRecordset(sql, entries)
}

const asRow = (sql: SqlClient, entry: NewEntry): Fragment =>
  sql`(SELECT ${entry.id}::uuid AS id, ${entry.correlationId}::uuid AS correlation_id, ${entry.aggregateType}::varchar AS aggregate_type,
    ${entry.aggregateId}::varchar AS aggregate_id, ${entry.eventType}::varchar AS event_type, ${entry.schemaVersion}::int AS schema_version,
    ${entry.data}::jsonb AS event_data, ${entry.traceId}::uuid AS trace_id, ${entry.headers}::jsonb AS headers,
    ${entry.maxAttempts}::int AS max_attempts, 0::bigint AS seq) AS entries`

export const asRecordset = (sql: SqlClient, entries: ReadonlyArray<NewEntry>): Fragment =>
  sql`jsonb_to_recordset(${`[${entries.map(toJson).join(",")}]`}::jsonb) AS entries (id uuid, correlation_id uuid,
    aggregate_type varchar, aggregate_id varchar, event_type varchar, schema_version int, event_data jsonb, trace_id uuid,
    headers jsonb, max_attempts int, seq bigint)`

// data and headers are JSON already, and are put in as they are rather than encoded again.
const toJson = (entry: NewEntry, seq: number): string => {
  const columns = JSON.stringify({
    id: entry.id,
    correlation_id: entry.correlationId,
    aggregate_type: entry.aggregateType,
    aggregate_id: entry.aggregateId,
    event_type: entry.eventType,
    schema_version: entry.schemaVersion,
    trace_id: entry.traceId,
    max_attempts: entry.maxAttempts,
    seq
  })
  return `${columns.slice(0, -1)},"event_data":${entry.data},"headers":${entry.headers}}`
}

const mostRows = 1000
const mostCharacters = 4_000_000

/** Parts of at most 1,000 entries and, but for a single large one, 4 million characters: Postgres holds a part in memory whole. */
const inParts = (entries: ReadonlyArray<NewEntry>): ReadonlyArray<ReadonlyArray<NewEntry>> => {
  const parts: Array<Array<NewEntry>> = []
  let characters = Infinity
  for (const entry of entries) {
    const size = entry.data.length + entry.headers.length
    const current = parts.at(-1)
    if (current === undefined || current.length === mostRows || characters + size > mostCharacters) {
      parts.push([entry])
      characters = size
    } else {
      current.push(entry)
      characters += size
    }
  }
  return parts
}
