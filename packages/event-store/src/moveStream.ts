/** Moves a stream on to its next version, if it is as expected. */
import type { Database } from "@zakops/migrations/Database"
import type { Fragment } from "effect/sql/Statement"
import type { ExpectedVersion } from "./StreamId.ts"

/** What is expected, but for which version. */
export type Expectation = "any" | "noStream" | "streamExists" | "version"

export const expectationOf = (expected: ExpectedVersion): Expectation => {
  if (expected === 0) return "noStream"
  return typeof expected === "number" ? "version" : expected
}

/** Values of a statement, or what stands for them where it is put together once. `expected` is read only where a version is expected. */
export interface Move {
  readonly aggregateType: unknown
  readonly aggregateId: unknown
  readonly expected: unknown
  /** How many events are appended. */
  readonly by: unknown
}

/**
 * The statement that moves the stream `by` events on, if it is as expected, and returns its new version. Waits for whoever is moving it.
 */
export const moveStream = (
  { sql, table }: Database,
  expectation: Expectation,
  { aggregateId, aggregateType, by, expected }: Move
): Fragment => {
  const returned = sql.literal("RETURNING stream.version")
  const insert = sql`INSERT INTO ${table.streams} AS stream (aggregate_type, aggregate_id, version, xid)
    VALUES (${aggregateType}, ${aggregateId}, ${by}::int, pg_current_xact_id())`
  const move = sql`SET version = stream.version + ${by}::int, xid = pg_current_xact_id()`
  const noYoungerWriter = sql.literal("stream.xid <= pg_current_xact_id()")
  const theStream = sql`stream.aggregate_type = ${aggregateType} AND stream.aggregate_id = ${aggregateId}`
  switch (expectation) {
    case "any":
      return sql`${insert} ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE ${move} WHERE ${noYoungerWriter} ${returned}`
    case "noStream":
      return sql`${insert} ON CONFLICT DO NOTHING ${returned}`
    case "streamExists":
      return sql`UPDATE ${table.streams} AS stream ${move} WHERE ${theStream} AND ${noYoungerWriter} ${returned}`
    case "version":
      return sql`UPDATE ${table.streams} AS stream ${move}
        WHERE ${theStream} AND stream.version = ${expected}::float8::bigint AND ${noYoungerWriter} ${returned}`
  }
}
