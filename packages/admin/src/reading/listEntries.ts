/** A page of entries. */
import type { Database } from "@zakops/migrations/Database"
import { InvalidRequest } from "@zakops/outbox"
import { checkText } from "@zakops/outbox/deadLetters/DeadFilter"
import { uuid } from "@zakops/outbox/emitting/identifiers"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"
import type { EntryPage } from "../api/entries.ts"
import type { EntryFilter, PageOptions } from "../Entries.ts"
import type { EntryRow } from "./entryColumns.ts"
import { entryColumns, toSummary } from "./entryColumns.ts"
import { walkOf } from "./entryWalks.ts"
import { byIndex } from "./counting.ts"
import { fromCursor, pageLimit, refusingValues, toCursor } from "./pageCursor.ts"

/** How many entries are looked at for one page of a filter: 100 ms or so, where they lie in memory. */
const breadth = 20_000
/** For one state out of a walk that has others too: those of the state stand in front of it, or all along it. */
const mixedBreadth = 4000

const texts = ["type", "key", "destination", "aggregateType", "aggregateId", "error"] as const

type Found = EntryRow & {
  /** Null where nothing was found: the row says only how far it was looked. */
  readonly cursor: ReadonlyArray<string> | null
  readonly bound: ReadonlyArray<string> | null
}

/**
 * Walks the index of the state's order, and stops when the page is full, or after `breadth` entries, of all destinations together: there, at
 * `bound`, the next page begins.
 */
export const listEntries = (db: Database) =>
  Effect.fnUntraced(function*(filter: EntryFilter, options: PageOptions) {
    const { sql } = db
    const limit = yield* pageLimit(options.limit)
    yield* Effect.forEach(texts, (name) => checkText(name, filter[name] ?? ""), { discard: true })
    if (filter.correlationId !== undefined && !uuid.test(filter.correlationId)) {
      return yield* new InvalidRequest({
        field: "correlationId",
        problem: `is ${JSON.stringify(filter.correlationId)}, which is no UUID`
      })
    }
    const walk = walkOf(db, filter.state, filter.destination)
    const list = `entries ${filter.state ?? "all"}`
    const after = yield* fromCursor(list, walk.forms, options.after)
    const { state: _, ...search } = filter
    const searched = Object.values(search).some((value) => value !== undefined)
    const condition = toCondition(db, filter, walk.mixed)
    const columns = entryColumns(sql)
    const page = Effect.gen(function*() {
      if (condition === undefined) {
        return yield* sql<Found>`SELECT walk.*, NULL AS bound FROM (${walk.rows(columns, after, limit + 1)}) AS walk`
      }
      const most = Math.max(limit + 1, Math.floor((searched ? breadth : mixedBreadth) / (yield* walk.parts)))
      return yield* sql<Found>`
        SELECT page.*, bounds.bound FROM (
          SELECT (SELECT cursor FROM (${walk.rows(sql`1 AS one`, after, most)}) AS walk OFFSET ${
        most - 1
      }::int LIMIT 1) AS bound
        ) AS bounds LEFT JOIN (
          SELECT * FROM (${walk.rows(columns, after, most)}) AS o WHERE ${condition} LIMIT ${limit + 1}::int
        ) AS page ON true`
    })
    const rows = yield* refusingValues(options.after)(byIndex(db)(page))
    const found = rows.filter(({ cursor }) => cursor !== null)
    const shown = found.slice(0, limit)
    const end = found.length > limit ? shown.at(-1)?.cursor : rows[0]?.bound
    return {
      items: shown.map(toSummary),
      next: end === null || end === undefined ? null : toCursor(list, end)
    } satisfies EntryPage
  })

/** Undefined where every row of the walk is meant. */
const toCondition = ({ sql }: Database, filter: EntryFilter, mixed: boolean): Fragment | undefined => {
  const equal = (column: string, value: string | undefined) =>
    value === undefined ? [] : [sql`${sql.literal(column)} = ${value}`]
  const conditions: ReadonlyArray<Fragment> = [
    mixed ? equal("o.state", filter.state) : [],
    equal(`o."eventType"`, filter.type),
    equal(`o."orderingKey"`, filter.key),
    filter.destination === "" ? [sql`o.destination IS NULL`] : equal("o.destination", filter.destination),
    equal(`o."aggregateType"`, filter.aggregateType),
    equal(`o."aggregateId"`, filter.aggregateId),
    filter.correlationId === undefined ? [] : [sql`o."correlationId" = ${filter.correlationId}::uuid`],
    filter.error === undefined ? [] : [sql`strpos(o.error, ${filter.error}) > 0`]
  ].flat()
  return conditions.length === 0 ? undefined : sql.and(conditions)
}
