/** The due entries that are each the first open one of their ordering key, and nothing behind them: one scan, and a step into outbox_key for each. */
import type { Database } from "@zakops/migrations/Database"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, goingTo, isDue, noMark, sizeColumn, takesTurns, within } from "./Selection.ts"

/**
 * Takes what `dueRuns` would where each key has one entry, for two thirds of the work. What it may not take it passes over, at
 * every look: it sets nothing aside, and leaves what was held by a worker who is gone, and what has to take its turn, to `dueRuns`.
 *
 * Whoever has taken the first of a key has the key here as well: nothing behind it is the first, until it is finished.
 */
export const dueHeads = (db: Database, taking: Taking): Selection => {
  const { sql, table } = db
  const { bytes, destination, limit, limited, route } = taking
  return {
    limit,
    keyed: true,
    mark: noMark(db),
    // The one in front is asked for by a subquery that gives a value: joined, all keys would be gone through for each look.
    ctes: sql`
      due AS MATERIALIZED (
        SELECT ctid, ${sizeColumn(db, bytes)} FROM ${table.outbox} AS entry
        WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NOT NULL AND ${goingTo(db, route)} AND ${
      isDue(db, taking)
    }
          AND status IS DISTINCT FROM 'processing' AND NOT ${takesTurns(db, limited)}
          AND ${destinationOpen(db, destination)}
          AND (SELECT true FROM ${table.outbox} AS front
            WHERE front.ordering_key = entry.ordering_key AND (NOT front.finished OR front.blocks) AND front.seq < entry.seq
            LIMIT 1) IS NULL
        ORDER BY ${sql.literal(dueTime)}, seq
        LIMIT ${limit}::int
        FOR UPDATE SKIP LOCKED
      ),
      taken AS MATERIALIZED (${within(db, sql.literal("due"), taking)}),
      moved AS (SELECT 1 WHERE false)`
  }
}
