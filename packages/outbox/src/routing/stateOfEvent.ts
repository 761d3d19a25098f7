/** How far one event has come at each destination. */
import type { Database } from "@zakops/migrations/Database"
import { diedAt } from "../deadLetters/DeadFilter.ts"

export interface DestinationState {
  /** Null for the main destination. */
  readonly destination: string | null
  /** The entry that takes it there; at the main destination it has the event's own id. */
  readonly entryId: string
  /** `discarded` is a dead one that was given up. */
  readonly status: "pending" | "processing" | "delivered" | "dead" | "discarded"
  readonly attempts: number
  readonly maxAttempts: number
  readonly nextAttemptAt: Date | null
  readonly deliveredAt: Date | null
  readonly diedAt: Date | null
  /** Of the last attempt that failed. */
  readonly error: string | null
}

/** By the primary key and the index outbox_event. */
export const stateOfEvent = ({ sql, table }: Database) => (eventId: string) => {
  const columns = sql.literal(`o.destination, o.id AS "entryId",
    CASE WHEN o.discarded_at IS NOT NULL THEN 'discarded' ELSE coalesce(o.status, 'pending') END AS status,
    coalesce(o.attempts, 0) AS attempts, coalesce(o.max_attempts, 5) AS "maxAttempts", o.next_attempt_at AS "nextAttemptAt",
    o.delivered_at AS "deliveredAt", CASE WHEN o.status = 'dead' THEN ${diedAt} END AS "diedAt", o.error_message AS error`)
  return sql<DestinationState>`
    SELECT ${columns} FROM ${table.outbox} o WHERE o.id = ${eventId}::uuid AND o.destination IS NULL
    UNION ALL
    SELECT ${columns} FROM ${table.outbox} o WHERE o.event_id = ${eventId}::uuid AND o.destination IS NOT NULL
    ORDER BY destination NULLS FIRST`
}
