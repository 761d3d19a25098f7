/**
 * The entries whose type is paused or has a limit: they stand in a line for each type, oldest due time first, and none of another type
 * waits behind them.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, goingTo, isDue, noMark, sizeColumn, within } from "./Selection.ts"

/** The due entries of one type in its line, from the index outbox_turn (outbox_routed_turn for a route); none while it is paused. */
export const dueTurns = (db: Database, type: string, taking: Taking): Selection => {
  const { sql, table } = db
  const { bytes, destination, limit, route } = taking
  // Asked once for the statement, not for each row of a line that may be long.
  const open =
    sql`NOT EXISTS (SELECT FROM ${table.flow} WHERE kind = 'type' AND name = ${type} AND paused_at IS NOT NULL)`
  return {
    limit,
    keyed: true,
    mark: noMark(db),
    ctes: sql`
      due AS MATERIALIZED (
        SELECT ctid, ${sizeColumn(db, bytes)} FROM ${table.outbox}
        WHERE NOT finished AND waits_for = 'turn' AND coalesce(event_type, '') = ${type} AND ${
      goingTo(db, route)
    } AND ${isDue(db, taking)}
          AND ${open} AND ${destinationOpen(db, destination)}
        ORDER BY ${sql.literal(dueTime)}, seq
        LIMIT ${limit}::int
        FOR UPDATE SKIP LOCKED
      ),
      taken AS MATERIALIZED (${within(db, sql.literal("due"), taking)}),
      moved AS (SELECT WHERE false)`
  }
}

/** The types that have a line and are not paused, one step of the index for each. */
export const typesInLine = (db: Database, route: string | null) =>
  Effect.gen(function*() {
    const { sql, table } = db
    const inLine = sql`NOT finished AND waits_for = 'turn' AND ${goingTo(db, route)}`
    const rows = yield* sql<{ type: string }>`
      WITH RECURSIVE line AS (
        (SELECT coalesce(event_type, '') AS type FROM ${table.outbox} WHERE ${inLine} ORDER BY coalesce(event_type, '') LIMIT 1)
        UNION ALL
        SELECT (
          SELECT coalesce(event_type, '') FROM ${table.outbox} WHERE ${inLine} AND coalesce(event_type, '') > line.type
          ORDER BY coalesce(event_type, '') LIMIT 1
        ) FROM line WHERE line.type IS NOT NULL
      )
      SELECT type FROM line
      WHERE type IS NOT NULL AND type NOT IN (SELECT name FROM ${table.flow} WHERE kind = 'type' AND paused_at IS NOT NULL)`
    return rows.map(({ type }) => type)
  })
