/** What waits for each destination, what is dead there, and who delivers to it. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import { dueTime } from "../claiming/Selection.ts"
import { indexOrder } from "../connecting/indexOrder.ts"
import { routeNames } from "./routeNames.ts"
import { aliveFor } from "../workers/beat.ts"

export interface DestinationCounts {
  /** Null for the main destination. */
  readonly destination: string | null
  /** The publisher's name; null for a main destination to which nobody delivers. */
  readonly name: string | null
  /** Entries that are neither delivered nor dead. */
  readonly pending: number
  /** Of those, the ones that workers hold at the moment. */
  readonly holding: number
  readonly dead: number
  /** There are more pending or dead than were counted: 10,000 at most, and 2,000 for a route. */
  readonly capped: boolean
  /** Milliseconds for which the entry that is due longest has been waiting; null where none is due. */
  readonly oldest: number | null
  /** Workers that deliver to it. */
  readonly workers: number
  readonly pausedAt: Date | null
}

/** How many are counted of one kind; more are told by `capped`. */
const most = 10_000
/** The same for each of the routes, of which there may be many. */
const mostRouted = 2000
/** Of the entries with a key so many are looked at, for those behind another: they lie all over the table, in the order of the keys. */
const keysLooked = 2000

interface Row extends Omit<DestinationCounts, "capped" | "pending"> {
  readonly free: number
  readonly behind: number
  /** There were more with a key, of whatever destination, than were looked at. */
  readonly cut: boolean
  /** Of the latest that are dead, more than were looked at. */
  readonly deadCut: boolean
}

/**
 * Each count walks one partial index in its order and stops at the limit: the two of what is due or will be, the one of the lines, that of what
 * is dead, and for what waits behind its key the beginning of outbox_key, which all destinations share, so that it may be cut short for all
 * at once: so many rows are looked at, not so many found, since the index does not say which of them wait. What is dead at the main
 * destination is found among the latest that are dead anywhere.
 */
export const countDestinations = (db: Database) =>
  Effect.gen(function*() {
    const { now, sql } = db
    const time = yield* now
    const rows = yield* sql.withTransaction(Effect.andThen(
      sql`SELECT ${indexOrder(sql)}`,
      sql<Row>`${countsOf(db, time)}`
    ))
    const capped = rows.some(({ cut }) => cut)
    return rows.map((row): DestinationCounts => {
      const limit = row.destination === null ? most : mostRouted
      return {
        destination: row.destination,
        name: row.name,
        pending: Math.min(limit, row.free + row.behind),
        holding: row.holding,
        dead: Math.min(limit, row.dead),
        capped: capped || row.free + row.behind > limit || row.dead > limit || row.deadCut,
        oldest: row.oldest,
        workers: row.workers,
        pausedAt: row.pausedAt
      }
    })
  })

const countsOf = (db: Database, time: Fragment): Fragment => {
  const { sql, table } = db
  const [unkeyed, keyed, inLine] = [
    sql.literal("NOT finished AND waits_for IS NULL AND ordering_key IS NULL"),
    sql.literal("NOT finished AND waits_for IS NULL AND ordering_key IS NOT NULL"),
    sql.literal("NOT finished AND waits_for = 'turn'")
  ]
  const dead = sql.literal("finished AND delivered_at IS NULL AND discarded_at IS NULL")
  const namesIn = (where: Fragment) =>
    sql`SELECT name FROM (WITH RECURSIVE ${
      routeNames(db, where)
    } SELECT name FROM names WHERE name IS NOT NULL) AS found`
  const upTo = (limit: number, where: Fragment, of: Fragment, order: Fragment) =>
    sql`(SELECT count(*)::int FROM (SELECT FROM ${table.outbox} WHERE ${where} AND ${of} ORDER BY ${order} LIMIT ${
      limit + 1
    }::int) AS counted)`
  const oldest = (where: Fragment, of: Fragment) =>
    sql`(SELECT least(greatest(coalesce(next_attempt_at, created_at), '4713-01-01 BC'), ${time}) FROM ${table.outbox}
      WHERE ${where} AND ${of} AND ${sql.literal(dueTime)} <= ${time} ORDER BY ${sql.literal(dueTime)}, seq LIMIT 1)`
  const alive = sql`seen_at > ${time} - ${aliveFor}::float8 * interval '1 millisecond'`
  const due = sql.literal(`${dueTime}, seq`)
  const line = sql.literal(`coalesce(event_type, ''), ${dueTime}, seq`)
  const counts = (limit: number, of: Fragment) =>
    sql`${upTo(limit, unkeyed, of, due)} + ${upTo(limit, keyed, of, due)} + ${upTo(limit, inLine, of, line)} AS free,
      (extract(epoch FROM ${time} - least(${oldest(unkeyed, of)}, ${oldest(keyed, of)})) * 1000)::float8 AS oldest`
  return sql`
    WITH names AS (
      SELECT destination AS name FROM ${table.workers} WHERE route
      UNION ${namesIn(unkeyed)} UNION ${namesIn(keyed)} UNION ${namesIn(inLine)} UNION ${namesIn(dead)}
    ),
    counted AS (
      SELECT NULL::text AS destination, (SELECT destination FROM ${table.workers} WHERE NOT route ORDER BY seen_at DESC LIMIT 1) AS name,
        latest.dead, latest.cut AS "deadCut", ${counts(most, sql.literal("destination IS NULL"))}
      FROM (
        SELECT (count(*) FILTER (WHERE destination IS NULL))::int AS dead, count(*) > ${most}::int AS cut FROM (
          SELECT destination FROM ${table.outbox} WHERE ${dead} ORDER BY seq DESC LIMIT ${most + 1}::int
        ) AS counted
      ) AS latest
      UNION ALL
      SELECT name, name, ${upTo(mostRouted, dead, sql.literal("destination = names.name"), sql.literal("seq"))}, false,
        ${counts(mostRouted, sql.literal("destination = names.name"))} FROM names
    ),
    looked AS MATERIALIZED (
      SELECT destination, waits_for FROM ${table.outbox}
      WHERE ordering_key IS NOT NULL AND (NOT finished OR blocks) ORDER BY ordering_key, seq LIMIT ${keysLooked}::int
    ),
    behind AS (
      SELECT destination, count(*)::int AS count FROM looked WHERE waits_for = 'key' GROUP BY destination
    )
    SELECT counted.*, (SELECT count(*) >= ${keysLooked}::int FROM looked) AS cut,
      coalesce(behind.count, 0) AS behind, coalesce(worker.holding, 0)::int AS holding,
      coalesce(worker.workers, 0)::int AS workers, flow.paused_at AS "pausedAt"
    FROM counted
    LEFT JOIN behind ON behind.destination IS NOT DISTINCT FROM counted.destination
    LEFT JOIN LATERAL (
      SELECT sum(holding) AS holding, count(*) AS workers FROM ${table.workers} AS worker
      WHERE ${alive} AND worker.destination = counted.name AND worker.route = (counted.destination IS NOT NULL)
    ) AS worker ON true
    LEFT JOIN ${table.flow} AS flow ON flow.kind = 'destination' AND flow.name = counted.name
    ORDER BY counted.destination NULLS FIRST`
}
