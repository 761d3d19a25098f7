/** The due entries that have no ordering key: one scan of the index outbox_due, oldest due time first. */
import type { Database } from "@zakops/migrations/Database"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, isDue, sizeColumn, takesTurns, withinBytes } from "./Selection.ts"

/** Entries that are being worked on lie at the front of the index and are passed over: as many as there are in flight. */
export const dueEntries = (db: Database, { bytes, destination, limit, limited, time }: Taking): Selection => {
  const { sql, table } = db
  return {
    limit,
    keyed: false,
    ctes: sql`
      due AS MATERIALIZED (
        SELECT ctid, ${takesTurns(db, limited)} AS turns, ${sizeColumn(db, bytes)} FROM ${table.outbox}
        WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND ${isDue(db, time)}
          AND ${destinationOpen(db, destination)}
        ORDER BY ${sql.literal(dueTime)}, seq
        LIMIT ${limit}::int
        FOR UPDATE SKIP LOCKED
      ),
      taken AS MATERIALIZED (${withinBytes(db, sql`due WHERE NOT turns`, bytes)}),
      moved AS (
        UPDATE ${table.outbox} SET waits_for = 'turn' WHERE ctid = ANY (ARRAY(SELECT ctid FROM due WHERE turns)) RETURNING 1
      )`
  }
}
