/** The due entries that have no ordering key: one scan of the index outbox_due, oldest due time first. */
import type { Database } from "@zakops/migrations/Database"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, isDue, sizeColumn, takesTurns, within } from "./Selection.ts"

/** Entries that are being worked on lie at the front of the index and are passed over: as many as there are in flight. */
export const dueEntries = (db: Database, taking: Taking): Selection => {
  const { sql, table } = db
  const { bytes, destination, limited, meet } = taking
  return {
    limit: meet,
    keyed: false,
    ctes: sql`
      due AS MATERIALIZED (
        SELECT ctid, ${takesTurns(db, limited)} AS turns, ${sizeColumn(db, bytes)} FROM ${table.outbox}
        WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND ${isDue(db, taking)}
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
