/**
 * The entries whose type is paused or has a limit: they stand in a line for each type, oldest due time first, and none of another type
 * waits behind them.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, isDue, sizeColumn, typePaused, withinBytes } from "./Selection.ts"

/** The due entries of one type in its line, from the index outbox_turn; none while it is paused. */
export const dueTurns = (db: Database, type: string, { bytes, destination, limit, time }: Taking): Selection => {
  const { sql, table } = db
  return {
    limit,
    keyed: true,
    ctes: sql`
      due AS MATERIALIZED (
        SELECT ctid, ${sizeColumn(db, bytes)} FROM ${table.outbox}
        WHERE NOT finished AND waits_for = 'turn' AND coalesce(event_type, '') = ${type} AND ${isDue(db, time)}
          AND NOT ${typePaused(db)} AND ${destinationOpen(db, destination)}
        ORDER BY ${sql.literal(dueTime)}, seq
        LIMIT ${limit}::int
        FOR UPDATE SKIP LOCKED
      ),
      taken AS MATERIALIZED (${withinBytes(db, sql.literal("due"), bytes)}),
      moved AS (SELECT WHERE false)`
  }
}

/** The types that have a line, one step of outbox_turn for each. */
export const typesInLine = ({ sql, table }: Database) =>
  Effect.gen(function*() {
    const inLine = sql.literal("NOT finished AND waits_for = 'turn'")
    const rows = yield* sql<{ type: string }>`
      WITH RECURSIVE line AS (
        (SELECT coalesce(event_type, '') AS type FROM ${table.outbox} WHERE ${inLine} ORDER BY coalesce(event_type, '') LIMIT 1)
        UNION ALL
        SELECT (
          SELECT coalesce(event_type, '') FROM ${table.outbox} WHERE ${inLine} AND coalesce(event_type, '') > line.type
          ORDER BY coalesce(event_type, '') LIMIT 1
        ) FROM line WHERE line.type IS NOT NULL
      )
      SELECT type FROM line WHERE type IS NOT NULL`
    return rows.map(({ type }) => type)
  })
