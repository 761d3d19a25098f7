/** The columns of an entry as a list shows it, and what they become. */
import { diedAt } from "@zakops/outbox/deadLetters/DeadFilter"
import { eventId } from "@zakops/outbox/deadLetters/eventColumns"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { EntryState, EntrySummary } from "../api/entries.ts"
import { toTime } from "./rowValues.ts"

/** The state of an entry of the outbox as `o`; see `EntryState`. */
export const stateOf = `CASE WHEN o.discarded_at IS NOT NULL THEN 'discarded'
  WHEN o.status IN ('dead', 'delivered', 'processing') THEN o.status
  WHEN o.waits_for = 'key' THEN 'behind' WHEN o.waits_for = 'turn' THEN 'held' ELSE 'pending' END`

export interface EntryRow {
  readonly id: string
  readonly eventId: string
  readonly seq: string
  readonly state: EntryState
  readonly eventType: string
  readonly schemaVersion: number
  readonly correlationId: string
  readonly aggregateType: string | null
  readonly aggregateId: string | null
  readonly orderingKey: string | null
  readonly destination: string | null
  readonly attempts: number
  readonly maxAttempts: number
  readonly redrives: number
  readonly blocks: boolean
  readonly createdAt: unknown
  readonly nextAttemptAt: unknown
  readonly lastAttemptAt: unknown
  readonly deliveredAt: unknown
  readonly diedAt: unknown
  readonly error: string | null
}

/** Of the outbox as `o`: what `EntryRow` says. */
export const entryColumns = (sql: SqlClient): Fragment =>
  sql`o.id, ${sql.literal(eventId)} AS "eventId", o.seq::text AS seq, ${sql.literal(stateOf)} AS state,
    coalesce(o.event_type, '') AS "eventType", coalesce(o.schema_version, 1) AS "schemaVersion",
    o.correlation_id AS "correlationId", o.aggregate_type AS "aggregateType", o.aggregate_id AS "aggregateId",
    o.ordering_key AS "orderingKey", o.destination, coalesce(o.attempts, 0) AS attempts,
    coalesce(o.max_attempts, 5) AS "maxAttempts", o.redrives, o.blocks, o.created_at AS "createdAt",
    CASE WHEN NOT o.finished THEN o.next_attempt_at END AS "nextAttemptAt", o.last_attempt_at AS "lastAttemptAt",
    o.delivered_at AS "deliveredAt", CASE WHEN o.status = 'dead' THEN ${sql.literal(diedAt)} END AS "diedAt",
    o.error_message AS error`

export const toSummary = (row: EntryRow): EntrySummary => ({
  id: row.id,
  eventId: row.eventId,
  seq: BigInt(row.seq),
  state: row.state,
  eventType: row.eventType,
  schemaVersion: row.schemaVersion,
  correlationId: row.correlationId,
  aggregateType: row.aggregateType,
  aggregateId: row.aggregateId,
  orderingKey: row.orderingKey,
  destination: row.destination,
  attempts: row.attempts,
  maxAttempts: row.maxAttempts,
  redrives: row.redrives,
  blocks: row.blocks,
  createdAt: toTime(row.createdAt),
  nextAttemptAt: toTime(row.nextAttemptAt),
  lastAttemptAt: toTime(row.lastAttemptAt),
  deliveredAt: toTime(row.deliveredAt),
  diedAt: toTime(row.diedAt),
  error: row.error
})
