/** Takes due entries for one worker, for as long as the lease runs. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ClaimedRow } from "./OutboxEntry.ts"
import { fromRow } from "./OutboxEntry.ts"
import type { Selection } from "./Selection.ts"
import { dataBytes } from "./Selection.ts"
import { createdAt, eventData, oneMoreAttempt, retryWaits } from "./storedValues.ts"

/**
 * Claims what the selection takes under `claimId`, in one statement and its own transaction. Each is charged an attempt, except where a
 * lease has run out: that attempt was charged when it began, and comes back as `expired`, to be failed. Gives the entries, and how many
 * the selection has met and set aside.
 *
 * The rows are found by ctid through an array: joined to a CTE by id, a generic plan reads the whole table.
 *
 * @param worker who takes them, as it stands in the history of attempts
 */
export const claimEntries = (db: Database, worker: string) =>
  Effect.fnUntraced(function*(selection: Selection, claimId: string, lease: Duration.Duration) {
    const { now, sql, table } = db
    const time = yield* now
    const rows = yield* sql<ClaimedRow & { readonly met: number; readonly moved: number }>`
      WITH ${selection.ctes},
      claimed AS (
        UPDATE ${table.outbox} o SET
          status = 'processing',
          attempts = CASE WHEN o.status = 'processing' THEN coalesce(o.attempts, 0) ELSE ${
      sql.literal(oneMoreAttempt)
    } END,
          last_attempt_at = CASE WHEN o.status = 'processing' THEN o.last_attempt_at ELSE ${time} END,
          created_at = ${createdAt(db, time)},
          waits_for = nullif(o.waits_for, 'turn'),
          claim_id = ${claimId}::uuid,
          claimed_by = CASE WHEN o.status = 'processing' THEN o.claimed_by ELSE ${worker} END,
          lease_until = ${time} + ${Duration.toMillis(lease)}::float8 * interval '1 millisecond'
        WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM taken))
        RETURNING o.id, o.correlation_id, o.aggregate_type, o.aggregate_id, coalesce(o.event_type, '') AS event_type,
          coalesce(o.schema_version, 1) AS schema_version, o.trace_id, coalesce(o.headers, '{}') AS headers, o.created_at,
          o.attempts, coalesce(o.max_attempts, 5) AS max_attempts, ${
      sql.literal(retryWaits)
    } AS retry_waits, o.ordering_key, o.seq::float8 AS seq,
          o.last_attempt_at, o.claimed_by, o.last_attempt_at IS DISTINCT FROM ${time} AS expired,
          (extract(epoch FROM o.expires_at - ${time}) * 1000)::float8 AS time_left, ${
      sql.literal(dataBytes)
    }::float8 AS bytes,
          ${sql.literal(eventData("o"))}, o.shadow
      )
      SELECT (SELECT count(*)::int FROM due) AS met, (SELECT count(*)::int FROM moved) AS moved, claimed.*
      FROM (VALUES (1)) AS one LEFT JOIN claimed ON true`
    return {
      met: rows[0]?.met ?? 0,
      moved: rows[0]?.moved ?? 0,
      entries: rows.filter((row) => row.id !== null).map((row) => fromRow(row, claimId))
    }
  })
