/** One entry with all that is known of it, whatever its state. */
import type { Database } from "@zakops/migrations/Database"
import { toWaits } from "@zakops/outbox/claiming/OutboxEntry"
import { checkId } from "@zakops/outbox/deadLetters/EntryHistory"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { EntryDetail, EntrySummary } from "../api/entries.ts"
import type { EntryRow } from "./entryColumns.ts"
import { entryColumns, stateOf, toSummary } from "./entryColumns.ts"
import { jsonColumns } from "./jsonColumns.ts"
import { toTime, toTimeOr } from "./rowValues.ts"

/** The latest so many attempts are shown. */
const mostAttempts = 500
const neighboursEachWay = 5

type Row = EntryRow & {
  readonly traceId: string | null
  readonly headers: string
  readonly data: string | null
  readonly dataBytes: number
  readonly retryWaits: ReadonlyArray<number | null> | null
  readonly onDead: "block" | "skip"
  readonly expiresAt: unknown
  readonly discardedAt: unknown
  readonly crashes: number
  readonly claimedBy: string | null
  readonly leaseUntil: unknown
}

/** By the id of the entry, or of its event. Each statement is served by an index, or by the primary key. */
export const showEntry = (db: Database) => {
  const history = readAttempts(db)
  const neighbours = readNeighbours(db)
  const destinations = readDestinations(db)
  const logged = readLogged(db)
  return Effect.fnUntraced(function*(id: string) {
    const { sql, table } = db
    const [row] = yield* sql<Row>`
      SELECT ${entryColumns(sql)}, o.trace_id AS "traceId", ${jsonColumns(sql, "o")},
        CASE WHEN o.retry_waits IS NOT NULL THEN ARRAY(SELECT unnest(o.retry_waits)) END AS "retryWaits",
        CASE o.on_dead WHEN 'skip' THEN 'skip' ELSE 'block' END AS "onDead", o.expires_at AS "expiresAt",
        o.discarded_at AS "discardedAt", o.crashes, o.claimed_by AS "claimedBy", o.lease_until AS "leaseUntil"
      FROM ${table.outbox} o WHERE o.id = ${yield* checkId(id)}::uuid`
    if (row === undefined) return Option.none<EntryDetail>()
    const entry = toSummary(row)
    return Option.some<EntryDetail>({
      entry,
      traceId: row.traceId,
      headers: row.headers,
      data: row.data,
      dataBytes: row.dataBytes,
      masked: false,
      unreadable: row.dataBytes > mostReadable ? "its data is larger than 12 MiB, more than a worker receives" : null,
      retryWaits: toWaits(row.retryWaits),
      onDead: row.onDead,
      expiresAt: toTime(row.expiresAt),
      discardedAt: toTime(row.discardedAt),
      crashes: row.crashes,
      claimedBy: row.claimedBy,
      leaseUntil: toTime(row.leaseUntil),
      history: yield* history(entry.id),
      neighbours: yield* neighbours(entry),
      destinations: yield* destinations(entry.eventId),
      logged: yield* logged(entry.eventId)
    })
  })
}

const mostReadable = 12_582_912

interface AttemptRow {
  readonly attempt: number
  readonly destination: string
  readonly worker: string | null
  readonly startedAt: unknown
  readonly endedAt: unknown
  readonly outcome: string
  readonly error: string | null
  readonly traceId: string | null
}

/** By the index outbox_attempts_entry, the latest; oldest first. */
const readAttempts = ({ sql, table }: Database) => (id: string) =>
  Effect.map(
    sql<AttemptRow>`
      SELECT attempt, destination, worker, started_at AS "startedAt", ended_at AS "endedAt", outcome, error, trace_id AS "traceId"
      FROM ${table.outboxAttempts} WHERE entry_id = ${id}::uuid ORDER BY id DESC LIMIT ${mostAttempts}::int`,
    (rows) => rows.map(toAttempt).toReversed()
  )

const toAttempt = (row: AttemptRow): EntryDetail["history"][number] => ({
  attempt: row.attempt,
  destination: row.destination,
  worker: row.worker,
  startedAt: toTime(row.startedAt),
  endedAt: toTimeOr(row.endedAt, new Date(0)),
  outcome: row.outcome,
  error: row.error,
  traceId: row.traceId
})

/** By the index outbox_key, which holds what is unfinished, or dead and in the way. */
const readNeighbours = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*({ orderingKey, seq }: EntrySummary) {
    if (orderingKey === null) return { before: [], after: [] }
    const beside = (which: "before" | "after") =>
      sql<EntryRow>`SELECT ${entryColumns(sql)} FROM ${table.outbox} o
        WHERE o.ordering_key = ${orderingKey} AND (NOT o.finished OR o.blocks) AND ${
        which === "before" ? sql`o.seq < ${String(seq)}::bigint` : sql`o.seq > ${String(seq)}::bigint`
      }
        ORDER BY ${which === "before" ? sql`o.seq DESC` : sql`o.seq`} LIMIT ${neighboursEachWay}::int`
    return {
      before: (yield* beside("before")).map(toSummary).toReversed(),
      after: (yield* beside("after")).map(toSummary)
    }
  })

interface DestinationRow {
  readonly entryId: string
  readonly destination: string | null
  readonly state: EntrySummary["state"]
  readonly attempts: number
  readonly deliveredAt: unknown
  readonly nextAttemptAt: unknown
  readonly error: string | null
}

/** By the primary key, and the index outbox_event. The main destination first. */
const readDestinations = ({ sql, table }: Database) => (eventId: string) =>
  Effect.map(
    sql<DestinationRow>`
      SELECT o.id AS "entryId", o.destination, ${sql.literal(stateOf)} AS state, coalesce(o.attempts, 0) AS attempts,
        o.delivered_at AS "deliveredAt", CASE WHEN NOT o.finished THEN o.next_attempt_at END AS "nextAttemptAt",
        o.error_message AS error
      FROM ${table.outbox} o WHERE o.id = ${eventId}::uuid OR o.event_id = ${eventId}::uuid
      ORDER BY o.destination NULLS FIRST, o.seq LIMIT 100`,
    (rows) =>
      rows.map((row) => ({ ...row, deliveredAt: toTime(row.deliveredAt), nextAttemptAt: toTime(row.nextAttemptAt) }))
  )

const readLogged = ({ sql, table }: Database) => (eventId: string) =>
  Effect.map(
    sql<{ position: string; streamVersion: string | null }>`
      SELECT position::text AS position, stream_version::text AS "streamVersion" FROM ${table.agentEvents}
      WHERE id = ${eventId}::uuid`,
    ([row]) =>
      row === undefined ? null : {
        position: BigInt(row.position),
        streamVersion: row.streamVersion === null ? null : BigInt(row.streamVersion)
      }
  )
