/**
 * The entries that take events to the destinations of routes, as SQL: made of the event's own entry, in the transaction that marks it
 * delivered at the main destination.
 *
 * The id is made of the event's id and the destination, so that a second time finds it there and makes no other. Their order is that of
 * the main destination: entries of one key are delivered there one after another, each committed before the next is begun, so that seq
 * follows without a lock. The key has the destination in front, so that nobody waits for a key at another destination.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { eventColumns } from "../deadLetters/eventColumns.ts"
import { envelopeOf } from "../claiming/OutboxEntry.ts"
import type { Pair, Routing } from "./Routing.ts"
import { wantedBy } from "./Routing.ts"

/** The columns of the outbox `o` that a routed entry needs beyond those of the event. */
export const settingColumns = "o.max_attempts, o.retry_waits, o.on_dead, o.expires_at"

// A UUID of version 8: the first 48 bits are the event's, for a UUID v7 its time, so that the entries of a time lie together in the index;
// 70 of the others are a digest.
const routedId =
  `overlay(overlay(left(o.id::text, 13) || substr(md5(o.id::text || '/' || route.destination)::uuid::text, 14)
  PLACING '8' FROM 15) PLACING '8' FROM 20)::uuid`

/** The statement that makes the entries: `from` gives the event's row as `o`, and `route.destination`. */
const insertFrom = ({ sql, table }: Database, from: Fragment, time: Fragment): Fragment =>
  sql`INSERT INTO ${table.outbox} (id, event_id, destination, correlation_id, aggregate_type, aggregate_id, event_type, schema_version,
      event_data, trace_id, headers, max_attempts, retry_waits, on_dead, expires_at, ordering_key, next_attempt_at, created_at)
    SELECT ${
    sql.literal(routedId)
  }, o.id, route.destination, o.correlation_id, o.aggregate_type, o.aggregate_id, o.event_type,
      o.schema_version, o.event_data, o.trace_id, o.headers, o.max_attempts, o.retry_waits, o.on_dead, o.expires_at,
      route.destination || '/' || o.ordering_key, ${time}, o.created_at
    FROM ${from} ORDER BY o.seq
    ON CONFLICT (id) DO NOTHING RETURNING 1`

/** For what the type decides: makes them of the rows of `entries`, which has the columns of the outbox. */
export const routeByType = (db: Database, { byType }: Routing, entries: Fragment, time: Fragment): Fragment =>
  insertFrom(
    db,
    db.sql`${entries} AS o JOIN jsonb_to_recordset(${
      JSON.stringify(byType)
    }::jsonb) AS route (destination text, types text[])
      ON NOT o.shadow AND (route.types IS NULL OR coalesce(o.event_type, '') = ANY (route.types))`,
    time
  )

/** Makes those of the pairs, of the rows of `entries`. */
export const routePairs = (db: Database, pairs: ReadonlyArray<Pair>, entries: Fragment, time: Fragment): Fragment =>
  insertFrom(
    db,
    db.sql`${entries} AS o JOIN jsonb_to_recordset(${JSON.stringify(pairs)}::jsonb) AS route (id uuid, destination text)
      ON route.id = o.id`,
    time
  )

/**
 * True of the rows of the relation `entries` whose events a predicate has to see.
 */
export const isAsked = ({ sql }: Database, { asked, byPredicate }: Routing): Fragment =>
  byPredicate.length === 0
    ? sql.literal("false")
    : asked === null
    ? sql.literal("NOT shadow")
    : sql`NOT shadow AND coalesce(event_type, '') = ANY (${asked}::text[])`

/**
 * Shows the events of these entries, which the open transaction has delivered, to the predicates, and makes the entries that they want.
 * Gives how many.
 */
export const routeByPredicate = (db: Database, { byPredicate }: Routing) =>
  Effect.fnUntraced(function*(ids: ReadonlyArray<string>): Effect.fn.Return<number, SqlError> {
    if (ids.length === 0) return 0
    const { now, sql, table } = db
    const time = yield* now
    const rows = yield* sql<{ id: string; event_type: string; oversize: boolean }>`
      SELECT ${
      eventColumns(sql, time)
    }, o.ordering_key, o.seq::text AS seq FROM ${table.outbox} o WHERE o.id = ANY (${ids}::uuid[])`
    const pairs: Array<Pair> = []
    for (const row of rows) {
      for (const destination of yield* wantedBy(byPredicate, row.event_type, envelopeOf(row))) {
        pairs.push({ id: row.id, destination })
      }
    }
    if (pairs.length === 0) return 0
    return (yield* sql`${routePairs(db, pairs, table.outbox, time)}`).length
  })
