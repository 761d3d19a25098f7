/** Appends to one stream: version, log and outbox in one statement, or nothing at all. */
import type { Database } from "@zakops/migrations/Database"
import type { NewEntry } from "@zakops/outbox/emitting/Emission"
import { asRelation, insertFrom } from "@zakops/outbox/emitting/insertEntries"
import * as Effect from "effect/Effect"
import { appendOne, canAppendOne } from "./appendOne.ts"
import { logColumns } from "./logColumns.ts"
import { expectationOf, moveStream } from "./moveStream.ts"
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
  const appendSingle = appendOne(db)

  const append = Effect.fnUntraced(
    function*(stream: StreamId, expected: ExpectedVersion, entries: ReadonlyArray<NewEntry>) {
      const [first] = entries
      if (queue && entries.length === 1 && first !== undefined && canAppendOne(first)) {
        return (yield* appendSingle({ stream, expected, entry: first }))[0]?.version
      }
      const time = yield* now
      const count = entries.length
      // A single event stands in both inserts as it is, its parameters sent and read once: a tenth faster than materialized. Many
      // are read from their texts once.
      const inlined = sql.literal(count === 1 ? "NOT MATERIALIZED" : "")
      const events = sql.literal("events")
      const queued = queue ? sql`, queued AS (${insertFrom(db, events, time, entries)})` : sql.literal("")
      const [row] = yield* sql<{ version: number }>`
      WITH moved AS (${moveStream(db, expectationOf(expected), { ...stream, expected, by: count })}),
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

const streamState = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*({ aggregateId, aggregateType }: StreamId) {
    const [row] = yield* sql<{ version: number; younger: boolean }>`
      SELECT version::float8 AS version, xid > pg_current_xact_id() AS younger FROM ${table.streams}
      WHERE aggregate_type = ${aggregateType} AND aggregate_id = ${aggregateId}`
    return row ?? { version: 0, younger: false }
  })
