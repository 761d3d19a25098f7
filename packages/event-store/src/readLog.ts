/** Reads the log across streams, in an order that no later commit can change. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Fragment } from "effect/sql/Statement"
import type { Cursor } from "./Cursor.ts"
import { isBehind } from "./parkedEvents.ts"
import type { LogRow, RecordedEvent, UnreadableRow } from "./RecordedEvent.ts"
import { columns, fromRow, outlineOf } from "./RecordedEvent.ts"

/** Which events of the log; what is not given lets all pass. */
export interface LogFilter {
  readonly types?: ReadonlyArray<string> | undefined
  readonly aggregateType?: string | undefined
  readonly aggregateId?: string | undefined
  readonly correlationId?: string | undefined
}

export interface Page {
  readonly events: ReadonlyArray<RecordedEvent>
  /** Those of `events` that wait behind a parked event of their aggregate, by id. Empty where no subscription was named. */
  readonly behind: ReadonlySet<string>
  /** Those of `events` whose rows cannot be read, by id: only their outline is there. */
  readonly unreadable: ReadonlyMap<string, UnreadableRow>
  /** Up to here the log has been read; undefined where there was nothing after the cursor. */
  readonly end: Cursor | undefined
  /** Whether the page was cut short by its limits, so that there may be more at once. */
  readonly full: boolean
}

/** How many events are looked through for one page of a filter, as a multiple of the page. */
const breadth = 10

/**
 * At most `limit` events after `cursor` that pass the filter. Only below the oldest transaction that still runs: whatever commits later
 * has a higher transaction id. Walks the index agent_events_order; the comparison is row-wise, so that it is entered at the right place.
 *
 * @param subscription whose parked events hold back those of the same aggregate
 */
export const readLog = (db: Database, filter: LogFilter = {}, subscription?: string) => {
  const { now, sql, table } = db
  const condition = toCondition(db, filter)
  const behind = subscription === undefined ? sql.literal("false") : isBehind(db, subscription)
  return Effect.fnUntraced(function*(cursor: Cursor, limit: number) {
    const time = yield* now
    const breadthLimit = condition === undefined ? limit : limit * breadth
    const page = sql`
      SELECT * FROM ${table.agentEvents} AS log
      WHERE (log.xid, log.position) > (${cursor.xid}::xid8, ${cursor.position}) AND log.xid < pg_snapshot_xmin(pg_current_snapshot())
      ORDER BY log.xid, log.position LIMIT ${breadthLimit}::int`
    const rows = condition === undefined
      ? yield* sql<PageRow>`
        SELECT ${columns(sql, time)}, ${behind} AS behind, NULL AS end_xid, NULL AS end_position, NULL AS looked
        FROM (${page}) AS log ORDER BY log.xid, log.position`
      : yield* sql<PageRow>`
        WITH page AS MATERIALIZED (${page})
        SELECT matching.*, last.xid::text AS end_xid, last.position AS end_position, (SELECT count(*)::int FROM page) AS looked
        FROM (SELECT xid, position FROM page ORDER BY page.xid DESC, page.position DESC LIMIT 1) AS last
        LEFT JOIN (
          SELECT ${
        columns(sql, time)
      }, ${behind} AS behind, row_number() OVER (ORDER BY log.xid, log.position) AS number FROM page AS log WHERE ${condition}
          ORDER BY log.xid, log.position LIMIT ${limit}::int
        ) AS matching ON true
        ORDER BY matching.number`
    return toPage(rows, limit, breadthLimit)
  })
}

interface PageRow extends LogRow {
  readonly id: string | null
  readonly behind: boolean
  readonly end_xid: string | null
  readonly end_position: bigint | null
  readonly looked: number | null
}

const toPage = (rows: ReadonlyArray<PageRow>, limit: number, breadthLimit: number): Page => {
  const matching = rows.filter((row) => row.id !== null)
  const events: Array<RecordedEvent> = []
  const unreadable = new Map<string, UnreadableRow>()
  for (const row of matching) {
    const event = fromRow(row)
    if (Result.isFailure(event)) unreadable.set(String(row.id), event.failure)
    events.push(Result.isFailure(event) ? outlineOf(row) : event.success)
  }
  const [first] = rows
  // A page full of matches ends with the last of them; else it ends where the looking did.
  const lookedTo =
    first === undefined || first.end_xid === null || first.end_position === null || events.length === limit
      ? events.at(-1)?.cursor
      : { xid: first.end_xid, position: first.end_position }
  return {
    events,
    unreadable,
    behind: new Set(matching.filter((row) => row.behind).map((row) => String(row.id))),
    end: lookedTo,
    full: events.length === limit || (first?.looked ?? 0) === breadthLimit
  }
}

const toCondition = ({ sql }: Database, filter: LogFilter): Fragment | undefined => {
  const conditions = [
    filter.types === undefined ? [] : [sql`log.event_type = ANY (${[...filter.types]}::text[])`],
    filter.aggregateType === undefined ? [] : [sql`log.aggregate_type = ${filter.aggregateType}`],
    filter.aggregateId === undefined ? [] : [sql`log.aggregate_id = ${filter.aggregateId}`],
    filter.correlationId === undefined ? [] : [sql`log.correlation_id = ${filter.correlationId}::uuid`]
  ].flat()
  return conditions.length === 0 ? undefined : sql.and(conditions)
}

/**
 * Whether committed events after the cursor wait for an older transaction to end. Nobody tells when it does, if it wrote no events
 * itself.
 */
export const isHeldBack = ({ sql, table }: Database) => (cursor: Cursor) =>
  Effect.map(
    sql`SELECT 1 FROM ${table.agentEvents} AS log WHERE (log.xid, log.position) > (${cursor.xid}::xid8, ${cursor.position}) LIMIT 1`,
    (rows) => rows.length > 0
  )

/** Before everything that a reader could not see yet: nothing that commits from now on stands before it. */
export const currentEnd = ({ sql }: Database) =>
  Effect.map(
    sql<{ xid: string }>`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xid`,
    ([row]): Cursor => ({ xid: row?.xid ?? "0", position: 0n })
  )
