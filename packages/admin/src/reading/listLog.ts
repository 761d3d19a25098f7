/**
 * The log across streams, in its order, as text: a page after a cursor, the latest page, and what happens from now on.
 *
 * As every reader of the log, only below the oldest transaction that still runs: nothing that commits late is left out.
 */
import * as Cursor from "@zakops/event-store/Cursor"
import { currentEnd } from "@zakops/event-store/readLog"
import type { Database } from "@zakops/migrations/Database"
import { InvalidRequest } from "@zakops/outbox"
import { checkText } from "@zakops/outbox/deadLetters/DeadFilter"
import { uuid } from "@zakops/outbox/emitting/identifiers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import type { LoggedEvent, TailItem } from "../api/streams.ts"
import type { PageOptions } from "../Entries.ts"
import type { LogFilter } from "../EventStreams.ts"
import { byIndex } from "./counting.ts"
import type { LoggedRow } from "./loggedColumns.ts"
import { loggedColumns, toLogged } from "./loggedColumns.ts"
import { pageLimit } from "./pageCursor.ts"

/** How many events are looked at for one page of a filter. */
const breadth = 20_000

/** How often the tail looks, and how often it says that it is there. */
const lookEvery = Duration.millis(500)
const looksUntilIdle = 30
const tailPage = 200

const noPlace = (text: string) =>
  new InvalidRequest({ field: "after", problem: `is ${JSON.stringify(text)}, which is no place in the event log` })

const largestXid = 2n ** 64n - 1n
const largestPosition = 2n ** 63n - 1n

const fromText = (text: string) =>
  Effect.flatMap(
    Effect.try({ try: () => Cursor.fromTextUnsafe(text), catch: () => noPlace(text) }),
    (cursor) =>
      BigInt(cursor.xid) <= largestXid && cursor.position <= largestPosition
        ? Effect.succeed(cursor)
        : Effect.fail(noPlace(text))
  )

const checkFilter = Effect.fnUntraced(function*(filter: LogFilter) {
  yield* checkText("type", filter.type ?? "")
  yield* checkText("aggregateType", filter.aggregateType ?? "")
  yield* checkText("aggregateId", filter.aggregateId ?? "")
  if (filter.correlationId !== undefined && !uuid.test(filter.correlationId)) {
    return yield* new InvalidRequest({
      field: "correlationId",
      problem: `is ${JSON.stringify(filter.correlationId)}, which is no UUID`
    })
  }
})

const toCondition = ({ sql }: Database, filter: LogFilter): Fragment | undefined => {
  const conditions = [
    filter.type === undefined ? [] : [sql`coalesce(log.event_type, '') = ${filter.type}`],
    filter.aggregateType === undefined ? [] : [sql`log.aggregate_type = ${filter.aggregateType}`],
    filter.aggregateId === undefined ? [] : [sql`log.aggregate_id = ${filter.aggregateId}`],
    filter.correlationId === undefined ? [] : [sql`log.correlation_id = ${filter.correlationId}::uuid`]
  ].flat()
  return conditions.length === 0 ? undefined : sql.and(conditions)
}

interface LogPage {
  readonly items: ReadonlyArray<{ readonly cursor: string; readonly event: LoggedEvent }>
  /** Up to here it was looked. */
  readonly end: string
  /** Whether there may be more at once. */
  readonly full: boolean
}

/** Walks the index agent_events_order, and looks at `breadth` events at most. */
const readAfter = (db: Database, filter: LogFilter) => {
  const { sql, table } = db
  const condition = toCondition(db, filter)
  return Effect.fnUntraced(
    function*(after: string, limit: number): Effect.fn.Return<LogPage, InvalidRequest | SqlError> {
      const { position, xid } = yield* fromText(after)
      const looked = (most: number) =>
        sql`SELECT * FROM ${table.agentEvents} AS log
        WHERE (log.xid, log.position) > (${xid}::xid8, ${position}) AND log.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY log.xid, log.position LIMIT ${most}::int`
      type Found = LoggedRow & { readonly bound: string | null }
      const rows = yield* sql<Found>`
      SELECT page.*, bounds.bound FROM (
        SELECT ${
        condition === undefined
          ? sql`NULL::text AS bound`
          : sql`(SELECT log.xid::text || ':' || log.position FROM ${table.agentEvents} AS log
            WHERE (log.xid, log.position) > (${xid}::xid8, ${position}) AND log.xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY log.xid, log.position OFFSET ${breadth - 1}::int LIMIT 1) AS bound`
      }
      ) AS bounds LEFT JOIN (
        SELECT ${loggedColumns(sql)} FROM (${looked(condition === undefined ? limit : breadth)}) AS log
        WHERE ${condition ?? sql`true`} ORDER BY log.xid, log.position LIMIT ${limit}::int
      ) AS page ON true`
      const found = rows.filter(({ id }) => id !== null)
      const items = found.map((row) => ({ cursor: `${row.xid}:${row.position}`, event: toLogged(row) }))
      const full = items.length === limit
      const bound = rows[0]?.bound ?? null
      return {
        items,
        end: full || bound === null ? items.at(-1)?.cursor ?? after : bound,
        full: full || bound !== null
      }
    }
  )
}

/** The latest events, in their order. */
const readLatest = (db: Database, filter: LogFilter) => {
  const { sql, table } = db
  const condition = toCondition(db, filter)
  return Effect.fnUntraced(function*(limit: number) {
    const end = yield* currentEnd(db)
    const rows = yield* sql<LoggedRow>`
      SELECT ${loggedColumns(sql)} FROM (
        SELECT * FROM ${table.agentEvents} AS log WHERE log.xid < ${end.xid}::xid8
        ORDER BY log.xid DESC, log.position DESC LIMIT ${condition === undefined ? limit : breadth}::int
      ) AS log
      WHERE ${condition ?? sql`true`} ORDER BY log.xid DESC, log.position DESC LIMIT ${limit}::int`
    return { items: rows.map(toLogged).toReversed(), next: Cursor.toText(end) }
  })
}

export const listLog = (db: Database) =>
  Effect.fnUntraced(function*(filter: LogFilter, page: PageOptions) {
    const limit = yield* pageLimit(page.limit)
    yield* checkFilter(filter)
    if (page.after === undefined) return yield* byIndex(db)(readLatest(db, filter)(limit))
    const { end, items } = yield* byIndex(db)(readAfter(db, filter)(page.after, limit))
    return { items: items.map(({ event }) => event), next: end }
  })

/** Looks twice a second: a listener for each who watches would take a connection each. */
export const tailLog = (db: Database) =>
  Effect.fnUntraced(function*(filter: LogFilter, after: string | undefined) {
    yield* checkFilter(filter)
    const start = after === undefined
      ? Cursor.toText(yield* currentEnd(db))
      : Cursor.toText(yield* fromText(after))
    const read = readAfter(db, filter)
    const next = Effect.fnUntraced(function*(from: string) {
      let at = from
      for (let looks = 0; looks < looksUntilIdle; looks++) {
        // What the cursor looks like was checked before.
        const page = yield* Effect.catchTag(read(at, tailPage), "InvalidRequest", Effect.die)
        at = page.end
        if (page.items.length > 0) {
          return [page.items.map((item): TailItem => ({ _tag: "Event", ...item })), at] as const
        }
        if (!page.full) yield* Effect.sleep(lookEvery)
      }
      return [[{ _tag: "Idle", cursor: at } satisfies TailItem], at] as const
    })
    return Stream.concat(
      Stream.make<[TailItem]>({ _tag: "Idle", cursor: start }),
      Stream.paginate(start, (from) => Effect.map(next(from), ([items, at]) => [items, Option.some(at)] as const))
    )
  })
