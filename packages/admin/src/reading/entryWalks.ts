/**
 * In which order the entries of a state are listed: that of an index, so that a page costs the same wherever it begins and however many
 * rows there are.
 *
 * A walk is a SELECT over the outbox `o`, from after a cursor on, in its order.
 */
import type { Database } from "@zakops/migrations/Database"
import { isDead } from "@zakops/outbox/deadLetters/DeadFilter"
import { dueTime } from "@zakops/outbox/claiming/Selection"
import { routeNames } from "@zakops/outbox/routing/routeNames"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { EntryState } from "../api/entries.ts"
import { forms } from "./pageCursor.ts"

export interface Walk {
  /** What the cursor's values look like. */
  readonly forms: ReadonlyArray<RegExp>
  /**
   * `columns` of the rows after the cursor, and `cursor text[]`, in their order, at most `limit` of them. All of the state are among them;
   * some may be of another where `mixed` says so.
   */
  readonly rows: (columns: Fragment, after: ReadonlyArray<string> | undefined, limit: number) => Fragment
  readonly mixed: boolean
  /** How many parts of `limit` rows it is put together from, one for each destination and kind of index. */
  readonly parts: Effect.Effect<number, SqlError>
}

const onePart = Effect.succeed(1)

/**
 * Which walk finds entries of the state; all entries without one. Where the indexes are made for one destination each, those of
 * `destination` alone if it is given: a route's name, or "" for the main one.
 */
export const walkOf = (db: Database, state: EntryState | undefined, destination?: string): Walk => {
  const { sql, table } = db
  switch (state) {
    case undefined:
      return {
        mixed: false,
        parts: onePart,
        forms: [forms.id],
        rows: (columns, after, limit) =>
          sql`SELECT ${columns}, ARRAY[o.id::text] AS cursor FROM ${table.outbox} o
            WHERE ${
            after === undefined ? sql`true` : sql`o.id < ${after[0]}::uuid`
          } ORDER BY o.id DESC LIMIT ${limit}::int`
      }
    case "dead":
      return {
        mixed: false,
        parts: onePart,
        forms: [forms.number],
        rows: (columns, after, limit) =>
          sql`SELECT ${columns}, ARRAY[o.seq::text] AS cursor FROM ${table.outbox} o
            WHERE ${sql.literal(isDead)} AND ${after === undefined ? sql`true` : sql`o.seq < ${after[0]}::bigint`}
            ORDER BY o.seq DESC LIMIT ${limit}::int`
      }
    case "delivered":
      return latestFirst(db, sql`o.delivered_at`, sql`o.status = 'delivered' AND o.discarded_at IS NULL`)
    case "discarded":
      return latestFirst(db, sql`o.discarded_at`, sql`true`)
    case "behind":
      return {
        // The first of each key is there too.
        mixed: true,
        parts: onePart,
        forms: [forms.text, forms.number],
        rows: (columns, after, limit) =>
          sql`SELECT ${columns}, ARRAY[o.ordering_key, o.seq::text] AS cursor FROM ${table.outbox} o
            WHERE o.ordering_key IS NOT NULL AND (NOT o.finished OR o.blocks) AND ${
            after === undefined ? sql`true` : sql`(o.ordering_key, o.seq) > (${after[0]}, ${after[1]}::bigint)`
          }
            ORDER BY o.ordering_key, o.seq LIMIT ${limit}::int`
      }
    case "held":
      return held(db, destination)
    case "pending":
      // What is being delivered stands in front, and is no more than the workers hold.
      return { ...nextFirst(db, sql`o.status IS DISTINCT FROM 'processing'`, destination), mixed: false }
    case "processing":
      return { ...nextFirst(db, sql`true`, destination), mixed: true }
  }
}

const due = ({ sql }: Database) => sql.literal(dueTime)

/** By the indexes outbox_delivered and outbox_discarded. Those of one moment stand in the order of their ids. */
const latestFirst = ({ sql, table }: Database, at: Fragment, which: Fragment): Walk => ({
  mixed: false,
  parts: onePart,
  forms: [forms.time, forms.id],
  rows: (columns, after, limit) =>
    sql`SELECT ${columns}, ARRAY[${at}::text, o.id::text] AS cursor FROM ${table.outbox} o
      WHERE ${at} IS NOT NULL AND ${which} AND ${
      after === undefined
        ? sql`true`
        : sql`${at} <= ${after[0]}::timestamptz AND (${at}, o.id) < (${after[0]}::timestamptz, ${after[1]}::uuid)`
    }
      ORDER BY ${at} DESC, o.id DESC LIMIT ${limit}::int`
})

/**
 * Of the entries `which`, the first `limit` of each destination in the order `order`: of the main one, and of each route that has any. One
 * part for each kind of index; they are put in order together.
 */
const ofEach = (db: Database, parts: {
  readonly columns: Fragment
  readonly which: Fragment
  readonly order: Fragment
  readonly limit: number
  readonly destination: string | undefined
}): Fragment => {
  const { columns, destination, limit, order, which } = parts
  const { sql, table } = db
  const of = (where: Fragment) =>
    sql`(SELECT ${columns} FROM ${table.outbox} o WHERE ${which} AND ${where} ORDER BY ${order} LIMIT ${limit}::int)`
  const main = of(sql`o.destination IS NULL`)
  if (destination !== undefined) return destination === "" ? main : of(sql`o.destination = ${destination}`)
  return sql`${main} UNION ALL (
    WITH RECURSIVE ${routeNames(db, which)}
    SELECT routed.* FROM names CROSS JOIN LATERAL ${of(sql`o.destination = names.name`)} AS routed)`
}

/** How many parts `ofEach` makes of the entries `which`. */
const countParts = (db: Database, which: Fragment, destination: string | undefined): Effect.Effect<number, SqlError> =>
  destination !== undefined ? onePart : Effect.map(
    db.sql<{ count: number }>`WITH RECURSIVE ${routeNames(db, which)} SELECT 1 + count(name)::int AS count FROM names`,
    ([row]) => row?.count ?? 1
  )

const [free, keyed] = [
  "NOT o.finished AND o.waits_for IS NULL AND o.ordering_key IS NULL",
  "NOT o.finished AND o.waits_for IS NULL AND o.ordering_key IS NOT NULL"
]

/** What is due next comes first, by the indexes of the claim: for entries with a key and for those without, of each destination. */
const nextFirst = (db: Database, which: Fragment, destination: string | undefined): Omit<Walk, "mixed"> => {
  const { sql } = db
  const counted = [free, keyed].map((kind) => countParts(db, sql.literal(kind), destination))
  return {
    forms: [forms.time, forms.number],
    parts: Effect.map(Effect.all(counted), (counts) => counts.reduce((sum, count) => sum + count, 0)),
    rows: (columns, after, limit) => {
      const part = (kind: string) =>
        ofEach(db, {
          columns: sql`${columns}, ${due(db)} AS walk_due, o.seq AS walk_seq`,
          which: sql`${sql.literal(kind)} AND ${which} AND ${
            after === undefined ? sql`true` : sql`(${due(db)}, o.seq) > (${after[0]}::timestamptz, ${after[1]}::bigint)`
          }`,
          order: sql`${due(db)}, o.seq`,
          limit,
          destination
        })
      return sql`SELECT walk.*, ARRAY[walk_due::text, walk_seq::text] AS cursor FROM (
          ${part(free)} UNION ALL ${part(keyed)}
        ) AS walk ORDER BY walk_due, walk_seq LIMIT ${limit}::int`
    }
  }
}

/** The lines of types that are paused or limited, by outbox_turn and outbox_routed_turn. */
const held = (db: Database, destination: string | undefined): Walk => {
  const { sql } = db
  return {
    mixed: false,
    parts: countParts(db, sql`NOT o.finished AND o.waits_for = 'turn'`, destination),
    forms: [forms.text, forms.time, forms.number],
    rows: (columns, after, limit) => {
      const order = sql`coalesce(o.event_type, ''), ${due(db)}, o.seq`
      const lines = ofEach(db, {
        columns: sql`${columns}, coalesce(o.event_type, '') AS walk_type, ${due(db)} AS walk_due, o.seq AS walk_seq`,
        which: sql`NOT o.finished AND o.waits_for = 'turn' AND ${
          after === undefined
            ? sql`true`
            : sql`(${order}) > (${after[0]}, ${after[1]}::timestamptz, ${after[2]}::bigint)`
        }`,
        order,
        limit,
        destination
      })
      return sql`SELECT walk.*, ARRAY[walk_type, walk_due::text, walk_seq::text] AS cursor FROM (${lines}) AS walk
        ORDER BY walk_type, walk_due, walk_seq LIMIT ${limit}::int`
    }
  }
}
