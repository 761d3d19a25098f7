/**
 * How many dead letters there are, and of which kind. Reads each of those that match, or the latest of them up to a number, by the index
 * outbox_dead.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { CheckedFilter } from "./DeadFilter.ts"
import { diedAt, whereDead } from "./DeadFilter.ts"

export const countDead = (db: Database) =>
  Effect.fnUntraced(function*(filter: CheckedFilter, most?: number) {
    const { now, sql, table } = db
    const [row] = yield* sql<{ count: number }>`
      SELECT count(*)::float8 AS count FROM (
        SELECT FROM ${table.outbox} o WHERE ${whereDead(db, filter, yield* now)} ${latest(sql, most)}
      ) AS dead`
    return row?.count ?? 0
  })

/** The latest so many, or all of them. */
const latest = (sql: SqlClient, most: number | undefined): Fragment =>
  most === undefined ? sql`` : sql`ORDER BY o.seq DESC LIMIT ${most}::int`

/**
 * What dead letters are grouped by; `type-error`: by both. Errors that differ only in numbers and UUIDs are one group.
 */
export type DeadGrouping = "type" | "error" | "key" | "age" | "type-error"

export interface DeadGroup {
  /** The type, the error, the key (null: without one), or in words how long ago they died. */
  readonly group: string | null
  /** The error, where they are grouped by both; null else. */
  readonly error: string | null
  readonly count: number
  /** When the first and the last of them died. */
  readonly oldest: Date | null
  readonly newest: Date | null
}

const mostGroups = 100

/** The 100 largest groups, the largest first; ages youngest first. */
export const groupDead = (db: Database) =>
  Effect.fnUntraced(function*(by: DeadGrouping, filter: CheckedFilter, most?: number) {
    const { now, sql, table } = db
    const time = yield* now
    const died = sql.literal(diedAt)
    const group = {
      type: sql.literal("coalesce(o.event_type, '')"),
      "type-error": sql.literal("coalesce(o.event_type, '')"),
      error: sql.literal(`left(${withoutNumbers}, 200)`),
      key: sql.literal("o.ordering_key"),
      age: sql`CASE WHEN ${died} > ${time} - interval '1 hour' THEN 'less than an hour'
        WHEN ${died} > ${time} - interval '1 day' THEN 'an hour to a day'
        WHEN ${died} > ${time} - interval '7 days' THEN '1 to 7 days'
        WHEN ${died} > ${time} - interval '30 days' THEN '7 to 30 days'
        ELSE 'more than 30 days' END`
    }[by]
    const order = by === "age"
      ? sql.literal("newest DESC NULLS LAST")
      : sql.literal("count DESC, newest DESC NULLS LAST")
    const error = by === "type-error" ? sql.literal(`left(${withoutNumbers}, 200)`) : sql.literal("NULL::text")
    return yield* sql<DeadGroup>`
      SELECT dead.group, dead.error, count(*)::float8 AS count, min(dead.died) AS oldest, max(dead.died) AS newest FROM (
        SELECT ${group} AS group, ${error} AS error, ${died} AS died FROM (
          SELECT * FROM ${table.outbox} o WHERE ${whereDead(db, filter, time)} ${latest(sql, most)}
        ) AS o
      ) AS dead
      GROUP BY dead.group, dead.error ORDER BY ${order} LIMIT ${mostGroups}::int`
  })

// Of a long one the beginning: some 10 microseconds for each 100 characters. Without the number or id that it was cut in.
const beginning =
  `CASE WHEN length(o.error_message) > 400 THEN regexp_replace(left(o.error_message, 400), '[0-9a-fA-F-]*$', '')
  ELSE coalesce(o.error_message, '') END`
// An error that names its event would be a group of its own for each.
const withoutNumbers = `regexp_replace(regexp_replace(${beginning},
  '[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}', '<id>', 'g'), '[0-9]+', '<n>', 'g')`
