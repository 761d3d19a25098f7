/** Delivers what a selection takes to a publisher in the same database. */
import type { Transactional } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { keepText } from "../connecting/keptText.ts"
import { letForward } from "../claiming/orderingKeys.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import type { Routing } from "../routing/Routing.ts"
import { isAsked, routeByPredicate, routeByType, settingColumns } from "../routing/routedEntries.ts"
import type { Mark, Selection } from "../claiming/Selection.ts"
import { recordShadows } from "./shadowSink.ts"
import { createdAt, oneMoreAttempt } from "../claiming/storedValues.ts"
import type { WatchedRow } from "./watchBatch.ts"
import { watchBatch } from "./watchBatch.ts"

/** What became of the entries that a selection took, of how many it met. */
export interface Delivered {
  readonly met: number
  readonly moved: number
  readonly mark: Mark | undefined
  /** How many entries were made for routes. */
  readonly routed: number
  readonly counts: ProcessorCounts.ProcessorCounts
}

/**
 * The CTEs that mark what `which` selects of the outbox `o` delivered, and copy it: to the comparison, where it is in shadow mode.
 * `entries` is what was delivered. With a routing, `routed` is what was made for the routes that the type decides.
 */
export const deliverAndCopy = (
  db: Database,
  publisher: Transactional,
  routing: Routing | undefined,
  which: Fragment,
  time: Fragment
): Fragment => {
  const { sql, table } = db
  const settings = sql.literal(routing === undefined ? "" : `, ${settingColumns}`)
  const routed = routing === undefined
    ? sql.literal("")
    : sql`, routed AS (${routeByType(db, routing, sql.literal("entries"), time)})`
  return sql`entries AS (
      UPDATE ${table.outbox} o SET status = 'delivered', attempts = ${
    sql.literal(oneMoreAttempt)
  }, last_attempt_at = ${time},
        delivered_at = ${time}, created_at = ${
    createdAt(db, time)
  }, claim_id = NULL, lease_until = NULL, blocks = false,
        waits_for = NULL
      WHERE ${which}
      RETURNING o.id, o.correlation_id, o.aggregate_type, o.aggregate_id, o.event_type, o.schema_version, o.event_data,
        o.trace_id, o.headers, o.created_at, o.seq, o.ordering_key, o.shadow${settings}
    ), copied AS (${publisher.copyFrom(sql.literal("(SELECT * FROM entries WHERE NOT shadow) AS entries"))}),
    compared AS (${recordShadows(db, sql.literal("entries"), time)})${routed}`
}

/**
 * What the statement says of the routes: how many entries were made for those that the type decides, and which the predicates of the
 * others have to see.
 */
export interface RoutedRow {
  readonly routed: number
  readonly asked: ReadonlyArray<string> | null
}

/** Columns for `RoutedRow`, to stand behind those of a SELECT from `entries`. */
export const routedColumns = (db: Database, routing: Routing | undefined): Fragment =>
  routing === undefined
    ? db.sql.literal("0 AS routed, NULL::uuid[] AS asked")
    : db.sql`(SELECT count(*)::int FROM routed) AS routed, array_agg(id) FILTER (WHERE ${
      isAsked(db, routing)
    }) AS asked`

/**
 * Finds, copies and marks in one statement. Where the entries have keys, the next of each is let forward in the same transaction; without
 * any, the statement is the transaction.
 */
export const deliverSelection = (db: Database, publisher: Transactional, routing: Routing | undefined) => {
  const { now, sql } = db
  const forward = letForward(db)
  const askPredicates = routing === undefined ? undefined : routeByPredicate(db, routing)
  const inSteps = routing !== undefined && routing.byPredicate.length > 0
  const watchFrom = watchBatch(db, publisher)
  const kept = keepText(db)
  return ({ ctes, keyed, mark }: Selection): Effect.Effect<Delivered, SqlError> => {
    const deliver = Effect.gen(function*() {
      const which = sql`o.ctid = ANY (ARRAY(SELECT ctid FROM taken))`
      const time = yield* now
      const watch = yield* watchFrom(time)
      const [row] = yield* kept.rows(sql<
        WatchedRow & RoutedRow & {
          met: number
          moved: number
          mark: Mark | null
          delivered: number
          keys: ReadonlyArray<string> | null
        }
      >`
        WITH ${ctes}, ${deliverAndCopy(db, publisher, routing, which, time)}
        SELECT (SELECT count(*)::int FROM due) AS met, (SELECT count(*)::int FROM moved) AS moved, ${mark} AS mark,
          count(*)::int AS delivered, array_agg(DISTINCT ordering_key) FILTER (WHERE ordering_key IS NOT NULL) AS keys,
          ${routedColumns(db, routing)}${watch.columns}
        FROM entries`)
      const delivered = row?.delivered ?? 0
      return {
        watched: watch.delivered(delivered, row ?? {}),
        met: row?.met ?? 0,
        moved: row?.moved ?? 0,
        mark: row?.mark ?? undefined,
        delivered,
        keys: row?.keys ?? [],
        routed: (row?.routed ?? 0) + (askPredicates === undefined ? 0 : yield* askPredicates(row?.asked ?? []))
      }
    })
    const whole = keyed || inSteps
      ? sql.withTransaction(Effect.tap(deliver, ({ keys }) => forward(keys.map((key) => ({ key })))))
      : deliver
    return Effect.flatMap(
      whole,
      ({ delivered, mark, met, moved, routed, watched }) =>
        Effect.as(watched, { met, moved, mark, routed, counts: { ...ProcessorCounts.none, delivered } })
    )
  }
}
