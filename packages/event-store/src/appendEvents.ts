/** Appends to one stream: version, log and outbox in one statement, or nothing at all. */
import type { Database } from "@zakops/migrations/Database"
import type { NewEntry } from "@zakops/outbox/emitting/Emission"
import { asRelation, insertFrom } from "@zakops/outbox/emitting/insertEntries"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import type { ExpectedVersion, StreamId } from "./StreamId.ts"
import { toText, TransactionTooOld, WrongExpectedVersion } from "./StreamId.ts"

/**
 * Gives the stream's new version. Runs in whatever transaction is open; without one the statement is its own.
 *
 * The stream's row carries the order: whoever moves it has the lock until the end of its transaction, and `moved` is empty where the
 * version is not as expected or the last writer was younger. Then nothing else in the statement has rows to write.
 *
 * @param queue whether the entries are written to the outbox as well: not where it is switched off
 */
export const appendEvents = (db: Database, queue: boolean) => {
  const { now, sql, table } = db
  const columns = logColumns(sql)
  const findStream = streamState(db)

  const append = Effect.fnUntraced(
    function*(stream: StreamId, expected: ExpectedVersion, entries: ReadonlyArray<NewEntry>) {
      const time = yield* now
      const count = entries.length
      // A single event stands in both inserts as it is, its parameters sent and read once: a tenth faster than materialized. Many
      // are read from their texts once.
      const inlined = sql.literal(count === 1 ? "NOT MATERIALIZED" : "")
      const events = sql.literal("events")
      const queued = queue ? sql`, queued AS (${insertFrom(db, events, time, entries)})` : sql.literal("")
      const [row] = yield* sql<{ version: number }>`
      WITH moved AS (${moveStream(db, stream, expected, count)}),
      events AS ${inlined} (
        SELECT entries.*, moved.version - ${count}::int + 1 + entries.seq AS stream_version FROM moved, ${
        asRelation(sql, entries)
      }
      ),
      logged AS (
        INSERT INTO ${table.agentEvents} (${columns}, stream_version, created_at)
        SELECT ${columns}, stream_version, ${time} FROM ${events} ORDER BY seq
      )${queued}
      SELECT version::float8 AS version FROM moved`
      return row?.version
    }
  )

  return Effect.fnUntraced(function*(stream: StreamId, expected: ExpectedVersion, entries: ReadonlyArray<NewEntry>) {
    while (true) {
      const version = yield* append(stream, expected, entries)
      if (version !== undefined) return version
      const state = yield* findStream(stream)
      if (!fits(expected, state.version)) {
        return yield* new WrongExpectedVersion({ stream: toText(stream), expected, actual: state.version })
      }
      if (state.younger) return yield* new TransactionTooOld({ stream: toText(stream) })
      // It has come to be as expected between the two statements.
    }
  })
}

/** The columns that log and entry share. */
export const logColumns = (sql: Database["sql"]): Fragment =>
  sql.literal(
    "id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, headers"
  )

const fits = (expected: ExpectedVersion, actual: number): boolean => {
  switch (expected) {
    case "any":
      return true
    case "noStream":
      return actual === 0
    case "streamExists":
      return actual > 0
    default:
      return actual === expected
  }
}

/**
 * The statement that moves the stream `by` events on, if it is as expected, and returns its new version. Waits for whoever is moving it.
 */
const moveStream = ({ sql, table }: Database, stream: StreamId, expected: ExpectedVersion, by: number): Fragment => {
  const insert = sql`INSERT INTO ${table.streams} AS stream (aggregate_type, aggregate_id, version, xid)
    VALUES (${stream.aggregateType}, ${stream.aggregateId}, ${by}::int, pg_current_xact_id())`
  const move = sql`SET version = stream.version + ${by}::int, xid = pg_current_xact_id()`
  const noYoungerWriter = sql.literal("stream.xid <= pg_current_xact_id()")
  const theStream = sql`stream.aggregate_type = ${stream.aggregateType} AND stream.aggregate_id = ${stream.aggregateId}`
  if (expected === "any") {
    return sql`${insert} ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE ${move} WHERE ${noYoungerWriter}
      RETURNING stream.version`
  }
  if (expected === "noStream" || expected === 0) return sql`${insert} ON CONFLICT DO NOTHING RETURNING stream.version`
  const asExpected = expected === "streamExists"
    ? sql.literal("")
    : sql`AND stream.version = ${expected}::float8::bigint`
  return sql`UPDATE ${table.streams} AS stream ${move}
    WHERE ${theStream} ${asExpected} AND ${noYoungerWriter}
    RETURNING stream.version`
}

const streamState = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*({ aggregateId, aggregateType }: StreamId) {
    const [row] = yield* sql<{ version: number; younger: boolean }>`
      SELECT version::float8 AS version, xid > pg_current_xact_id() AS younger FROM ${table.streams}
      WHERE aggregate_type = ${aggregateType} AND aggregate_id = ${aggregateId}`
    return row ?? { version: 0, younger: false }
  })
