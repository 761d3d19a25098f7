/** Delivers what a selection takes to a publisher in the same database. */
import type { Transactional } from "@zakops/events/EventPublisher"
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import { letForward } from "../claiming/orderingKeys.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import type { Selection } from "../claiming/Selection.ts"
import { recordShadows } from "./shadowSink.ts"
import { createdAt, oneMoreAttempt } from "../claiming/storedValues.ts"

/** What became of the entries that a selection took, of how many it met. */
export interface Delivered {
  readonly met: number
  readonly moved: number
  readonly counts: ProcessorCounts.ProcessorCounts
}

/**
 * The CTEs that mark what `which` selects of the outbox `o` delivered, and copy it: to the comparison, where it is in shadow mode.
 * `entries` is what was delivered.
 */
export const deliverAndCopy = (
  db: Database,
  publisher: Transactional,
  which: Fragment,
  time: Fragment
): Fragment => {
  const { sql, table } = db
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
        o.trace_id, o.headers, o.created_at, o.seq, o.ordering_key, o.shadow
    ), copied AS (${publisher.copyFrom(sql.literal("(SELECT * FROM entries WHERE NOT shadow) AS entries"))}),
    compared AS (${recordShadows(db, sql.literal("entries"), time)})`
}

/**
 * Finds, copies and marks in one statement. Where the entries have keys, the next of each is let forward in the same transaction; without
 * any, the statement is the transaction.
 */
export const deliverSelection = (db: Database, publisher: Transactional) => {
  const { now, sql } = db
  const forward = letForward(db)
  return ({ ctes, keyed }: Selection): Effect.Effect<Delivered, SqlError> => {
    const deliver = Effect.gen(function*() {
      const which = sql`o.ctid = ANY (ARRAY(SELECT ctid FROM taken))`
      const [row] = yield* sql<{ met: number; moved: number; delivered: number; keys: ReadonlyArray<string> | null }>`
        WITH ${ctes}, ${deliverAndCopy(db, publisher, which, yield* now)}
        SELECT (SELECT count(*)::int FROM due) AS met, (SELECT count(*)::int FROM moved) AS moved,
          count(*)::int AS delivered, array_agg(DISTINCT ordering_key) FILTER (WHERE ordering_key IS NOT NULL) AS keys
        FROM entries`
      return { met: row?.met ?? 0, moved: row?.moved ?? 0, delivered: row?.delivered ?? 0, keys: row?.keys ?? [] }
    })
    const whole = keyed
      ? sql.withTransaction(Effect.tap(deliver, ({ keys }) => forward(keys.map((key) => ({ key })))))
      : deliver
    return Effect.map(whole, ({ delivered, met, moved }) => ({
      met,
      moved,
      counts: { ...ProcessorCounts.none, delivered }
    }))
  }
}
