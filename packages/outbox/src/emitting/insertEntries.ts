/** Writes entries to zakops.outbox, in the transaction that is open. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { NewEntry } from "./Emission.ts"
import type { Trace } from "./insertDeduplicated.ts"
import { insertDeduplicated } from "./insertDeduplicated.ts"
import { keysOf, lockedKeys, lockKeys } from "../claiming/orderingKeys.ts"

/** The ids of the entries, in their order, and a trace of the transaction, where it has written any. */
export interface Written {
  readonly ids: ReadonlyArray<string>
  readonly trace: Trace | undefined
}

/**
 * Writes the entries, numbered by seq in the order given. Where a deduplication key has written already, the id is that other one's.
 */
export const insertEntries = (db: Database) => {
  const insertPlain = insertOne(db)
  const insertMany = insertInParts(db)
  const deduplicated = insertDeduplicated(db)
  return Effect.fnUntraced(function*(entries: ReadonlyArray<NewEntry>): Effect.fn.Return<Written, SqlError> {
    const [first] = entries
    if (entries.some((entry) => entry.dedupe !== null)) return yield* deduplicated(entries, insertMany)
    const plain = first !== undefined && entries.length === 1 && isPlain(first)
    const trace = yield* plain ? insertPlain(first) : insertMany(entries)
    return { ids: entries.map((entry) => entry.id), trace }
  })
}

/** What most entries are: due now, with no key and no settings of their own. */
const isPlain = (entry: NewEntry): boolean =>
  entry.mode === "outbox" && entry.orderingKey === null && entry.retryWaits === null && entry.deliverAt === null &&
  entry.delay === 0 && entry.expiresAt === null

const insertOne = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entry: NewEntry) {
    const time = yield* now
    const [trace] = yield* sql<Trace>`
      INSERT INTO ${table.outbox} (id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data,
        trace_id, headers, max_attempts, next_attempt_at, created_at)
      VALUES (${entry.id}, ${entry.correlationId}, ${entry.aggregateType}, ${entry.aggregateId}, ${entry.eventType},
        ${entry.schemaVersion}, ${entry.data}, ${entry.traceId}, ${entry.headers}, ${entry.maxAttempts}, ${time}, ${time})
      RETURNING id, pg_current_xact_id()::text AS xid`
    return trace
  })

/** One statement for each part that `inParts` makes. */
const insertInParts = (db: Database) => {
  const lock = lockKeys(db)
  return Effect.fnUntraced(function*(entries: ReadonlyArray<NewEntry>) {
    const time = yield* db.now
    const parts = inParts(entries)
    // Each part locks its own keys in their order; all of them together have one only here.
    if (parts.length > 1) yield* lock(keysOf(entries))
    const traces: Array<Trace> = []
    for (const part of parts) {
      const [row] = yield* db.sql<Pick<Trace, "xid">>`
        WITH written AS (${
        insertFrom(db, asRelation(db.sql, part), time, part)
      }) SELECT pg_current_xact_id()::text AS xid`
      if (row !== undefined && part[0] !== undefined) traces.push({ id: part[0].id, xid: row.xid })
    }
    return traces[0]
  })
}

/**
 * The statement that writes the rows of `relation`, with the columns of `asRelation`, as entries; those that are only published directly
 * are left out. `entries` tells which keys there are to be locked, and whether all are to be written.
 */
export const insertFrom = (
  db: Database,
  relation: Fragment,
  time: Fragment,
  entries: ReadonlyArray<NewEntry>
): Fragment => {
  const { sql, table } = db
  const columns = sql.literal(
    `id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, headers, max_attempts,
      retry_waits, ordering_key, on_dead, expires_at`
  )
  const written = entries.filter(({ mode }) => mode !== "direct")
  const keys = keysOf(written)
  const locked = keys.length === 0 ? sql.literal("") : sql`, ${lockedKeys(db, keys)}`
  const chosen = sql.literal(written.length === entries.length ? "" : "WHERE mode <> 'direct'")
  return sql`INSERT INTO ${table.outbox} (${columns}, next_attempt_at, created_at, shadow)
    SELECT ${columns}, coalesce(deliver_at, ${time} + delay * interval '1 millisecond'), ${time}, mode = 'shadow'
    FROM ${relation}${locked} ${chosen} ORDER BY seq`
}

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
    ${entry.maxAttempts}::int AS max_attempts, ${asArray(entry.retryWaits)}::float8[] AS retry_waits,
    ${entry.orderingKey}::text AS ordering_key, ${entry.onDead}::varchar AS on_dead, ${entry.expiresAt}::timestamptz AS expires_at,
    ${entry.deliverAt}::timestamptz AS deliver_at, ${entry.delay}::float8 AS delay,
    ${entry.mode}::text AS mode, 0::bigint AS seq) AS entries`

const asArray = (numbers: ReadonlyArray<number> | null) => numbers === null ? null : `{${numbers.join()}}`

export const asRecordset = (sql: SqlClient, entries: ReadonlyArray<NewEntry>): Fragment =>
  sql`jsonb_to_recordset(${`[${entries.map(toJson).join(",")}]`}::jsonb) AS entries (id uuid, correlation_id uuid,
    aggregate_type varchar, aggregate_id varchar, event_type varchar, schema_version int, event_data jsonb, trace_id uuid,
    headers jsonb, max_attempts int, retry_waits float8[], ordering_key text, on_dead varchar, expires_at timestamptz,
    deliver_at timestamptz, delay float8, mode varchar, seq bigint)`

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
    retry_waits: entry.retryWaits ?? undefined,
    ordering_key: entry.orderingKey ?? undefined,
    on_dead: entry.onDead,
    expires_at: entry.expiresAt ?? undefined,
    deliver_at: entry.deliverAt ?? undefined,
    delay: entry.delay,
    mode: entry.mode,
    seq
  })
  return `${columns.slice(0, -1)},"event_data":${entry.data},"headers":${entry.headers}}`
}

const mostRows = 1000
const mostCharacters = 4_000_000

/** Parts of at most 1,000 entries and, but for a single large one, 4 million characters: Postgres holds a part in memory whole. */
export const inParts = (entries: ReadonlyArray<NewEntry>): ReadonlyArray<ReadonlyArray<NewEntry>> => {
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
