/** The due entries that have no ordering key: one scan of the index outbox_due (outbox_routed_due for a route), oldest due time first. */
import type { Database } from "@zakops/migrations/Database"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, goingTo, isDue, sizeColumn, takesTurns, within } from "./Selection.ts"

/**
 * In front of what is due lie, in the index, the entries that are being worked on, and those that have been delivered since the oldest
 * snapshot that somebody holds: each of them is passed over, by every look that does not begin behind them (`after`).
 */
export const dueEntries = (db: Database, taking: Taking): Selection => {
  const { sql, table } = db
  const { after, bytes, destination, limited, meet, route } = taking
  return {
    limit: meet,
    keyed: false,
    mark: sql.literal("(SELECT ARRAY[since::text, seq::text] FROM due ORDER BY since DESC, seq DESC LIMIT 1)"),
    ctes: sql`
      due AS MATERIALIZED (
        SELECT ctid, seq, ${sql.literal(dueTime)} AS since, ${takesTurns(db, limited)} AS turns, ${
      sizeColumn(db, bytes)
    } FROM ${table.outbox}
        WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND ${goingTo(db, route)} AND ${
      isDue(db, taking)
    }
          AND (${sql.literal(dueTime)}, seq) >= (${after[0]}::timestamptz, ${after[1]}::bigint)
          AND ${destinationOpen(db, destination)}
        ORDER BY ${sql.literal(dueTime)}, seq
        LIMIT ${meet}::int
        FOR UPDATE SKIP LOCKED
      ),
      taken AS MATERIALIZED (${within(db, sql`due WHERE NOT turns`, taking)}),
      moved AS (
        UPDATE ${table.outbox} SET waits_for = 'turn' WHERE ctid = ANY (ARRAY(SELECT ctid FROM due WHERE turns)) RETURNING 1
      )`
  }
}
