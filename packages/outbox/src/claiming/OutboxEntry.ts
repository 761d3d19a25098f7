/** An entry as a processor holds it: the envelope to be delivered, and what deciding its fate needs. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Entry } from "../EntryLifecycle.ts"

/** What `claimEntries` returns, as the columns come. */
export interface ClaimedRow {
  readonly id: string
  readonly attempts: number
  readonly max_attempts: number
  readonly retry_waits: ReadonlyArray<number | null> | null
  readonly ordering_key: string | null
  readonly sequence: string
  readonly last_attempt_at: Date | null
  readonly claimed_by: string | null
  /** Milliseconds until its deadline, when it was claimed. */
  readonly time_left: number | null
  readonly bytes: number
  /** The entry was held by a worker whose lease has run out; its attempt is to be failed, not repeated at once. */
  readonly expired: boolean
  /** Its data is too large for the client to receive, and was left in the table. */
  readonly oversize: boolean
  readonly shadow: boolean
  readonly [envelopeColumn: string]: unknown
}

export interface ClaimedEntry {
  readonly id: string
  readonly claimId: string
  readonly attempts: number
  readonly maxAttempts: number
  /** Milliseconds after each failure, where the entry has waits of its own. */
  readonly retryWaits: ReadonlyArray<number> | null
  readonly orderingKey: string | null
  /** Near enough to sort a batch by: beyond 2^53 some digits are lost, which the envelope's sequence has. */
  readonly seq: number
  readonly eventType: string
  readonly traceId: string | null
  /** When the attempt began, and who made it: where the lease has run out, the one who is gone. */
  readonly startedAt: Date | null
  readonly worker: string | null
  /** Milliseconds until its deadline, when it was claimed; Infinity without one. */
  readonly timeLeft: number
  /** Of its data, near enough. */
  readonly bytes: number
  readonly expired: boolean
  /** Published directly already: to be delivered to the comparison only. */
  readonly shadow: boolean
  /** Fails with words for the operator where the row cannot be read as an event: any program may write to the table. */
  readonly envelope: Result.Result<EventEnvelope, string>
}

const EnvelopeRow = Schema.Struct({
  id: Schema.String,
  correlation_id: Schema.String,
  aggregate_type: Schema.NullOr(Schema.String),
  aggregate_id: Schema.NullOr(Schema.String),
  event_type: Schema.String,
  schema_version: Schema.Int,
  event_data: Schema.Unknown,
  trace_id: Schema.NullOr(Schema.String),
  headers: Schema.Unknown,
  created_at: Schema.instanceOf(Date),
  // Not of the log's rows.
  event_id: Schema.optional(Schema.NullOr(Schema.String)),
  destination: Schema.optional(Schema.NullOr(Schema.String)),
  ordering_key: Schema.optional(Schema.NullOr(Schema.String)),
  sequence: Schema.optional(Schema.String)
})
const decodeRow = Schema.decodeUnknownResult(EnvelopeRow)

/** The envelope that a row of the outbox or of the log holds, as `eventData` has read it. */
export const envelopeOf = (row: { readonly oversize: boolean }): Result.Result<EventEnvelope, string> =>
  row.oversize ? Result.fail("its data is larger than 12 MiB, more than the client receives") : toEnvelope(row)

/** Of a row whose data is there. */
export const toEnvelope = (row: unknown): Result.Result<EventEnvelope, string> =>
  Result.mapBoth(decodeRow(row), {
    onFailure: (error) => `the row cannot be read as an event: ${error.message}`,
    onSuccess: (columns) => ({
      // An entry of a route takes the event that another one has brought to the main destination.
      id: Predicate.isNotNullish(columns.destination) ? columns.event_id ?? columns.id : columns.id,
      correlationId: columns.correlation_id,
      aggregateType: columns.aggregate_type,
      aggregateId: columns.aggregate_id,
      eventType: columns.event_type,
      schemaVersion: columns.schema_version,
      data: columns.event_data,
      traceId: columns.trace_id,
      headers: toHeaders(columns.headers),
      createdAt: asDate(columns.created_at),
      orderingKey: keyOf(columns.ordering_key ?? null, columns.destination ?? null),
      sequence: columns.sequence ?? null
    })
  })

/** The event's own key: that of a route's entry has its destination in front. */
const keyOf = (key: string | null, destination: string | null) =>
  key !== null && destination !== null && key.startsWith(`${destination}/`) ? key.slice(destination.length + 1) : key

// A producer in plain SQL may put any JSON there; that is no reason to hold its event back. From entries, so that a header called
// __proto__ is one.
const toHeaders = (json: unknown): EventEnvelope["headers"] =>
  Predicate.isObject(json)
    ? Object.fromEntries(
      Object.entries(json).map(([name, value]) => [name, Predicate.isString(value) ? value : JSON.stringify(value)])
    )
    : {}

// Postgres knows times that no Date can be, infinity among them; the log may hold one.
const asDate = (time: Date) => Number.isNaN(time.getTime()) ? new Date(0) : time

export const fromRow = (row: ClaimedRow, claimId: string): ClaimedEntry => ({
  id: row.id,
  claimId,
  attempts: row.attempts,
  maxAttempts: row.max_attempts,
  retryWaits: toWaits(row.retry_waits),
  orderingKey: row.ordering_key,
  seq: Number(row.sequence),
  eventType: String(row["event_type"]),
  traceId: typeof row["trace_id"] === "string" ? row["trace_id"] : null,
  startedAt: row.last_attempt_at,
  worker: row.claimed_by,
  timeLeft: row.time_left ?? Infinity,
  bytes: row.bytes,
  expired: row.expired,
  shadow: row.shadow,
  envelope: envelopeOf(row)
})

/** A producer in plain SQL may put any numbers there: what is no wait is none. */
export const toWaits = (numbers: ReadonlyArray<number | null> | null): ReadonlyArray<number> | null => {
  const waits = (numbers ?? []).filter((wait): wait is number => wait !== null && wait >= 0 && Number.isFinite(wait))
  return waits.length === 0 ? null : waits
}

/** The entry for `EntryLifecycle.decide`, which needs no times to settle one that is held. */
export const asProcessing = (entry: Pick<ClaimedEntry, "attempts" | "maxAttempts" | "claimId">): Entry =>
  Entry.Processing({ ...entry, dueAt: 0, leaseUntil: 0, lastError: null })
