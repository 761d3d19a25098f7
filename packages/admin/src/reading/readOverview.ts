/** The figures of the overview, in one short transaction. Each part walks an index, and stops. */
import type { Database } from "@zakops/migrations/Database"
import { isDead } from "@zakops/outbox/deadLetters/DeadFilter"
import { groupDead } from "@zakops/outbox/deadLetters/countDead"
import { dueTime } from "@zakops/outbox/claiming/Selection"
import { routeNames } from "@zakops/outbox/routing/routeNames"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import type { Overview } from "../api/overview.ts"
import { byIndex, indexRows, mostCounted, sumOf, toCount } from "./counting.ts"
import { toTime, toTimeOr } from "./rowValues.ts"

/** Errors are grouped among the latest so many dead letters: taking their numbers out takes some 10 microseconds each, or more for long ones. */
const deadLooked = 500
const groupsShown = 10
/** Of the entries with a key so many are looked at: they lie all over the table, in the order of the keys. */
const keysLooked = 2000

/** What is counted: the rows `of` the index, in its order. */
interface Counted {
  readonly of: Fragment
  readonly order: Fragment
  readonly index: string
}

/** Rows that were counted, those of them that a worker holds, and what the statistics say of the index. */
type Found = readonly [counted: number, taken: number, rows: number]

interface Row extends Readonly<Record<string, unknown>> {
  readonly at: unknown
  readonly behind: number
  readonly looked: number
  readonly keyRows: number | null
  readonly dead: number
  readonly deadRows: number | null
  readonly blocked: number
  readonly oldest: number | null
}

export const readOverview = (db: Database) => {
  const { now, sql, table } = db
  const group = groupDead(db)
  const due = sql.literal(dueTime)
  const dead = sql.literal(isDead)
  const upTo = sql`LIMIT ${mostCounted}::int`
  const free = sql`NOT o.finished AND o.waits_for IS NULL AND o.ordering_key IS NULL`
  const keyed = sql`NOT o.finished AND o.waits_for IS NULL AND o.ordering_key IS NOT NULL`
  const held = sql`NOT o.finished AND o.waits_for = 'turn'`

  /** Of the main destination, and of the routes: each has indexes of its own. */
  const ofBoth = (of: Fragment, order: Fragment, main: string, routed: string): ReadonlyArray<Counted> => [
    { of: sql`${of} AND o.destination IS NULL`, order, index: main },
    { of: sql`${of} AND o.destination IS NOT NULL`, order: sql`o.destination, ${order}`, index: routed }
  ]
  const counted: Readonly<Record<"due" | "held" | "delivered" | "discarded", ReadonlyArray<Counted>>> = {
    due: [
      ...ofBoth(free, sql`${due}, o.seq`, "outbox_due", "outbox_routed_due"),
      ...ofBoth(keyed, sql`${due}, o.seq`, "outbox_due_keyed", "outbox_routed_due_keyed")
    ],
    held: ofBoth(held, sql`coalesce(o.event_type, ''), ${due}, o.seq`, "outbox_turn", "outbox_routed_turn"),
    delivered: [{ of: sql`o.delivered_at IS NOT NULL`, order: sql`o.delivered_at DESC`, index: "outbox_delivered" }],
    discarded: [{ of: sql`o.discarded_at IS NOT NULL`, order: sql`o.discarded_at DESC`, index: "outbox_discarded" }]
  }
  const kinds = Object.keys(counted) as ReadonlyArray<keyof typeof counted>
  const columns = kinds.flatMap((kind) =>
    counted[kind].map(({ index, of, order }, n) =>
      sql`(SELECT ARRAY[count(*), ${
        kind === "due" ? sql`count(*) FILTER (WHERE part.status = 'processing')` : sql`0`
      }, coalesce(${indexRows(db, index)}, 0)]::float8[]
        FROM (SELECT ${kind === "due" ? sql`o.status` : sql`1`} FROM ${table.outbox} o
          WHERE ${of} ORDER BY ${order} ${upTo}) AS part) AS ${sql(`${kind}${n}`)}`
    )
  )

  /**
   * Since when the first that is due has been: those that say no time since they were written. Of each destination: of a route they are found
   * from the beginning of its part of the index.
   */
  const oldestOf = (of: Fragment, time: Fragment) => {
    const first = (destination: Fragment) =>
      sql`least(
        (SELECT o.created_at FROM ${table.outbox} o WHERE ${of} AND ${destination} AND ${due} = '-infinity' ORDER BY ${due}, o.seq LIMIT 1),
        (SELECT o.next_attempt_at FROM ${table.outbox} o WHERE ${of} AND ${destination} AND ${due} > '-infinity' AND ${due} <= ${time}
          ORDER BY ${due}, o.seq LIMIT 1))`
    return sql`least(${first(sql`o.destination IS NULL`)}, (
      WITH RECURSIVE ${routeNames(db, of)}
      SELECT min(${first(sql`o.destination = names.name`)}) FROM names WHERE names.name IS NOT NULL))`
  }

  const figures = Effect.gen(function*() {
    const time = yield* now
    const [row] = yield* sql<Row>`
      SELECT ${time} AS at, ${sql.csv(columns)},
        keys.behind, keys.looked,
        ${indexRows(db, "outbox_key")} AS "keyRows",
        dead.dead, ${indexRows(db, "outbox_dead")} AS "deadRows", dead.blocked,
        (extract(epoch FROM ${time} - least(${oldestOf(free, time)}, ${
      oldestOf(keyed, time)
    })) * 1000)::float8 AS oldest
      FROM (
        SELECT (count(*) FILTER (WHERE part.waits_for = 'key'))::int AS behind, count(*)::int AS looked FROM (
          SELECT o.waits_for FROM ${table.outbox} o WHERE o.ordering_key IS NOT NULL AND (NOT o.finished OR o.blocks)
          ORDER BY o.ordering_key, o.seq LIMIT ${keysLooked}::int
        ) AS part
      ) AS keys CROSS JOIN (
        SELECT count(*)::int AS dead, (count(DISTINCT part.key) FILTER (WHERE part.blocks))::int AS blocked FROM (
          SELECT CASE WHEN o.blocks THEN o.ordering_key END AS key, o.blocks FROM ${table.outbox} o WHERE ${dead} ORDER BY o.seq DESC ${upTo}
        ) AS part
      ) AS dead`
    const groups = yield* group("error", {}, deadLooked)
    return row === undefined ? yield* Effect.die(new Error("a SELECT of figures gives one row")) : { row, groups }
  })

  const foundOf = (row: Row, kind: keyof typeof counted) => counted[kind].map((_, n) => row[`${kind}${n}`] as Found)
  const countOf = (row: Row, kind: keyof typeof counted) =>
    sumOf(foundOf(row, kind).map(([count, , rows]) => toCount(count, mostCounted, rows)))

  return Effect.map(byIndex(db)(figures), ({ groups, row }): Overview => {
    const due = countOf(row, "due")
    const taken = foundOf(row, "due").reduce((sum, [, taken]) => sum + taken, 0)
    const dead = toCount(row.dead, mostCounted, row.deadRows)
    // What stands behind another is a part of the index, taken for the part of it that was looked at.
    const cut = row.looked === keysLooked
    return {
      at: toTimeOr(row.at, new Date(0)),
      oldestPendingAge: row.oldest === null || !Number.isFinite(row.oldest) ? null : Math.max(0, row.oldest),
      counts: {
        pending: { ...due, value: Math.max(0, due.value - taken) },
        behind: !cut
          ? { value: row.behind, kind: "exact" }
          : row.keyRows === null
          ? { value: row.behind, kind: "atLeast" }
          : { value: Math.round(row.keyRows * row.behind / row.looked), kind: "estimated" },
        held: countOf(row, "held"),
        processing: { value: taken, kind: due.kind === "exact" ? "exact" : "atLeast" },
        delivered: countOf(row, "delivered"),
        dead,
        discarded: countOf(row, "discarded")
      },
      blockedKeys: { value: row.blocked, kind: dead.kind === "exact" ? "exact" : "atLeast" },
      deadByError: groups.slice(0, groupsShown).map((one) => ({
        error: one.group ?? "",
        count: one.count,
        newest: toTime(one.newest)
      })),
      deadSampled: dead.value > deadLooked
    }
  })
}
