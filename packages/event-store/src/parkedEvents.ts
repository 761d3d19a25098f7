/**
 * Events that a subscription has set aside. While one of an aggregate is parked, those of the same aggregate behind it are parked as
 * well, so that they are handled in their order, later.
 *
 * Only the first of each aggregate is ever tried again; when it is done with, the next in line is.
 */
import type { Database } from "@zakops/migrations/Database"
import { errorText } from "@zakops/outbox/delivering/errorText"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Fragment } from "effect/sql/Statement"
import type { Cursor } from "./Cursor.ts"
import { start } from "./Cursor.ts"
import type { LogRow, RecordedEvent, UnreadableRow } from "./RecordedEvent.ts"
import { columns, fromRow, outlineOf } from "./RecordedEvent.ts"

/** `newer`: than the running build. `failed`: until somebody asks for it. `behind`: another one of its aggregate is before it. */
export type ParkReason = "newer" | "failed" | "behind"

/** A newer build looks at its start; an older one that was replaced piecemeal, once a minute. */
const newerEvery = "1 minute"

/**
 * Parks the event, or notes one more failed attempt at it. To be run by who holds the lease, in the transaction that says so (`advance`).
 */
export const park = ({ now, sql, table }: Database, subscription: string) =>
  Effect.fnUntraced(function*(event: RecordedEvent, reason: ParkReason, error: string) {
    const time = yield* now
    const { aggregateId, aggregateType, id } = event.envelope
    const retryAt = reason === "newer" ? sql`${time} + ${newerEvery}::interval` : sql`NULL::timestamptz`
    const attempts = reason === "behind" ? 0 : 1
    yield* sql`
      INSERT INTO ${table.parkedEvents} AS parked (subscription, event_id, xid, position, aggregate_type, aggregate_id, reason, error,
        attempts, parked_at, retry_at)
      VALUES (${subscription}, ${id}::uuid, ${event.cursor.xid}::xid8, ${event.cursor.position}, ${aggregateType}, ${aggregateId}, ${reason},
        ${errorText(error)}, ${attempts}::int, ${time}, ${retryAt})
      ON CONFLICT (subscription, event_id) DO UPDATE SET reason = excluded.reason, error = excluded.error, retry_at = excluded.retry_at,
        attempts = parked.attempts + excluded.attempts
      WHERE excluded.reason <> 'behind'`
  })

/** The text of those that wait behind another. */
export const behindText = "an event of the same aggregate is parked before it"

/** Notes one more failed attempt at an event that is parked; none at one that was discarded meanwhile. */
export const parkAgain = ({ now, sql, table }: Database, subscription: string) =>
  Effect.fnUntraced(function*(eventId: string, reason: ParkReason, error: string) {
    const time = yield* now
    const retryAt = reason === "newer" ? sql`${time} + ${newerEvery}::interval` : sql`NULL::timestamptz`
    yield* sql`
      UPDATE ${table.parkedEvents} SET reason = ${reason}, error = ${
      errorText(error)
    }, attempts = attempts + 1, retry_at = ${retryAt}
      WHERE subscription = ${subscription} AND event_id = ${eventId}::uuid`
  })

/** True for an event of `log` that is parked itself, or has one of its aggregate parked before it. Uses the index parked_events_key. */
export const isBehind = ({ sql, table }: Database, subscription: string): Fragment =>
  sql`EXISTS (SELECT 1 FROM ${table.parkedEvents} AS parked WHERE parked.subscription = ${subscription}
    AND (parked.event_id = log.id OR (parked.aggregate_type = log.aggregate_type AND parked.aggregate_id = log.aggregate_id
      AND (parked.xid, parked.position) < (log.xid, log.position))))`

/**
 * Those that are still behind another one, of the events that were when they were read: the one before them may have been discarded since.
 * Holds until the end of a transaction that has locked the subscription.
 */
export const stillBehind = (db: Database, subscription: string) =>
  Effect.fnUntraced(function*(ids: ReadonlySet<string>) {
    if (ids.size === 0) return ids
    const rows = yield* db.sql<{ id: string }>`SELECT log.id FROM ${db.table.agentEvents} AS log
      WHERE log.id = ANY (${[...ids]}::uuid[]) AND ${isBehind(db, subscription)}`
    return new Set(rows.map(({ id }) => id))
  })

/** Those that are free, and those that are behind. */
export const splitBehind = (events: ReadonlyArray<RecordedEvent>, behind: ReadonlySet<string>) =>
  [
    events.filter(({ envelope }) => !behind.has(envelope.id)),
    events.filter(({ envelope }) => behind.has(envelope.id))
  ] as const

/** True for an event of `parked` that has none of its aggregate parked before it. */
const isHead = ({ sql, table }: Database): Fragment =>
  sql`NOT EXISTS (SELECT 1 FROM ${table.parkedEvents} AS earlier WHERE earlier.subscription = parked.subscription
    AND earlier.aggregate_type = parked.aggregate_type AND earlier.aggregate_id = parked.aggregate_id
    AND (earlier.xid, earlier.position) < (parked.xid, parked.position))`

/** Keeps the runner from reading and parking until the end of the open transaction; waits for the batch that it is at. */
const lockSubscription = ({ sql, table }: Database, subscription: string) =>
  sql`SELECT 1 FROM ${table.checkpoints} WHERE subscription = ${subscription} FOR UPDATE`

/** A parked event that is to be tried again. */
export interface DueEvent {
  readonly event: RecordedEvent
  readonly reason: ParkReason
  /** Why its row cannot be read, if so: `event` is an outline then. */
  readonly unreadable: UnreadableRow | undefined
}

/** The parked events that are to be tried again by now, in the order of the log: of each aggregate only the first. */
export const dueParked = (db: Database, subscription: string) =>
  Effect.gen(function*() {
    const { now, sql, table } = db
    const time = yield* now
    const rows = yield* sql<LogRow & { readonly reason: ParkReason }>`
      SELECT ${columns(sql, time)}, parked.reason
      FROM ${table.parkedEvents} AS parked JOIN ${table.agentEvents} AS log ON log.id = parked.event_id
      WHERE parked.subscription = ${subscription} AND parked.retry_at <= ${time} AND ${isHead(db)}
      ORDER BY log.xid, log.position LIMIT 100`
    return rows.map((row): DueEvent => {
      const event = fromRow(row)
      return Result.isSuccess(event)
        ? { event: event.success, reason: row.reason, unreadable: undefined }
        : { event: outlineOf(row), reason: row.reason, unreadable: event.failure }
    })
  })

/** To be run when a runner starts: its build may know what an older one did not. */
export const lookAgainAtNewer = ({ now, sql, table }: Database, subscription: string) =>
  Effect.flatMap(
    now,
    (time) =>
      sql`UPDATE ${table.parkedEvents} SET retry_at = ${time} WHERE subscription = ${subscription} AND reason = 'newer'`
  )

/**
 * Takes the parked events that `which` selects (of `parked`) out, and has the next of their aggregates tried. Gives the number.
 */
const unpark = ({ now, sql, table }: Database, subscription: string, which: Fragment) =>
  Effect.gen(function*() {
    const time = yield* now
    const gone = yield* sql<{ event_id: string; aggregate_type: string | null; aggregate_id: string | null }>`
      DELETE FROM ${table.parkedEvents} AS parked WHERE subscription = ${subscription} AND ${which}
      RETURNING event_id, aggregate_type, aggregate_id`
    if (gone.length === 0) return 0
    yield* sql`
      UPDATE ${table.parkedEvents} AS parked SET retry_at = ${time}
      FROM (
        SELECT DISTINCT ON (next.aggregate_type, next.aggregate_id) next.event_id
        FROM ${table.parkedEvents} AS next
        JOIN jsonb_to_recordset(${JSON.stringify(gone)}::jsonb) AS gone (aggregate_type varchar, aggregate_id varchar)
          ON next.aggregate_type = gone.aggregate_type AND next.aggregate_id = gone.aggregate_id
        WHERE next.subscription = ${subscription}
        ORDER BY next.aggregate_type, next.aggregate_id, next.xid, next.position
      ) AS heads
      WHERE parked.subscription = ${subscription} AND parked.event_id = heads.event_id AND parked.reason = 'behind'`
    return gone.length
  })

/** Takes one event out: it was handled. Runs best in the transaction of its handling. Gives 0 where it was discarded meanwhile. */
export const removeParked = (db: Database, subscription: string) => (eventId: string) =>
  unpark(db, subscription, db.sql`parked.event_id = ${eventId}::uuid`)

/** Which parked events an operator means: those with these ids, or all of the subscription. */
export type ParkedSelection = "all" | ReadonlyArray<string>

const selected = ({ sql }: Database, selection: ParkedSelection): Fragment =>
  selection === "all" ? sql.literal("true") : sql`parked.event_id = ANY (${[...selection]}::uuid[])`

/** Has the parked events tried again by whoever runs the subscription; those behind them follow. Gives the number. */
export const retryParked = Effect.fnUntraced(function*(db: Database, subscription: string, selection: ParkedSelection) {
  const { now, sql, table } = db
  const time = yield* now
  const rows = yield* sql.withTransaction(Effect.andThen(
    lockSubscription(db, subscription),
    sql`UPDATE ${table.parkedEvents} AS parked SET retry_at = ${time}
      WHERE subscription = ${subscription} AND (reason <> 'behind' OR ${isHead(db)}) AND ${
      selected(db, selection)
    } RETURNING 1`
  ))
  return rows.length
})

/** Gives the parked events up for this subscription; those behind them are tried. In one transaction. Gives the number. */
export const discardParked = (db: Database, subscription: string, selection: ParkedSelection) =>
  db.sql.withTransaction(
    Effect.andThen(lockSubscription(db, subscription), unpark(db, subscription, selected(db, selection)))
  )

/** A parked event as an operator sees it. */
export interface ParkedEvent {
  readonly eventId: string
  readonly eventType: string
  readonly schemaVersion: number
  /** With `position` its place in the log, as a `Cursor`. */
  readonly xid: string
  readonly position: bigint
  readonly reason: ParkReason
  readonly error: string
  readonly attempts: number
  readonly parkedAt: Date
}

/** The parked events of a subscription after a place in the log, in its order, at most `limit`. By the index parked_events_order. */
export const listParked = (
  { sql, table }: Database,
  subscription: string,
  { after = start, limit = 100 }: { readonly after?: Cursor | undefined; readonly limit?: number } = {}
) =>
  sql<ParkedEvent>`
    SELECT parked.event_id AS "eventId", coalesce(log.event_type, '') AS "eventType", coalesce(log.schema_version, 1) AS "schemaVersion",
      parked.xid::text AS xid, parked.position, parked.reason, parked.error, parked.attempts, parked.parked_at AS "parkedAt"
    FROM ${table.parkedEvents} AS parked JOIN ${table.agentEvents} AS log ON log.id = parked.event_id
    WHERE parked.subscription = ${subscription} AND (parked.xid, parked.position) > (${after.xid}::xid8, ${after.position}::bigint)
    ORDER BY parked.xid, parked.position LIMIT ${limit}::int`
