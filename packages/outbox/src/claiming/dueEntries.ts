/** The due entries that have no ordering key: one scan of the index outbox_due (outbox_routed_due for a route), oldest due time first. */
import type { Database } from "@zakops/migrations/Database"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, goingTo, isDue, sizeColumn, takesTurns, within } from "./Selection.ts"

/**
 * Without `setsAside`, what takes its turns is left where it lies, and counted as if it had been moved: such entries are rare, and the UPDATE
 * that would set them aside costs a look that takes a single entry a tenth of the server's time, though it has nothing to do.
 *
 * In front of what is due lie, in the index, the entries that are being worked on, and those that have been delivered since the oldest
 * snapshot that somebody holds: each of them is passed over, by every look that does not begin behind them (`after`).
 */
export const dueEntries = (db: Database, taking: Taking, setsAside = true): Selection => {
  const { sql, table } = db
  const { after, bytes, destination, limited, meet, route } = taking
  const moved = setsAside
    ? sql`UPDATE ${table.outbox} SET waits_for = 'turn' WHERE ctid = ANY (ARRAY(SELECT ctid FROM due WHERE turns)) RETURNING 1`
    : sql.literal("SELECT FROM due WHERE turns")
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
      moved AS (${moved})`
  }
}
