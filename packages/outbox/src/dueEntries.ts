/** Which entries are due, and in which order: the one condition that claiming and delivering share. */
import type { Database } from "@zakops/migrations/Database"
import type { Fragment } from "effect/sql/Statement"

/**
 * The `columns` of at most `limit` due entries, oldest due time first, locked for this transaction; those that another worker has locked
 * are left out. Due is what is pending, and what is processing under a lease that has run out (or under none: an older system's).
 *
 * Walks the index outbox_due. Entries that are being worked on lie at its front and are passed over: as many as there are in flight.
 */
export const dueEntries = ({ sql, table }: Database, columns: Fragment, time: Fragment, limit: number): Fragment =>
  sql`SELECT ${columns} FROM ${table.outbox}
    WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL
      AND coalesce(next_attempt_at, '-infinity'::timestamptz) <= ${time}
      AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < ${time})
    ORDER BY coalesce(next_attempt_at, '-infinity'::timestamptz), seq
    LIMIT ${limit}::int
    FOR UPDATE SKIP LOCKED`
