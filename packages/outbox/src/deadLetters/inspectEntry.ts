/** One entry with all that is known of it, whatever its state. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import { diedAt } from "./DeadFilter.ts"
import type { Attempt } from "./EntryHistory.ts"
import { readHistory } from "./EntryHistory.ts"
import { eventColumns } from "./eventColumns.ts"
import { envelopeOf, toWaits } from "../claiming/OutboxEntry.ts"

export interface InspectedEntry {
  readonly id: string
  /** The destination of the route whose entry it is; null for the main one. */
  readonly destination: string | null
  /** `discarded` is a dead one that was given up. */
  readonly status: "pending" | "processing" | "delivered" | "dead" | "discarded"
  /** Fails with words where the row cannot be read as an event. */
  readonly envelope: Result.Result<EventEnvelope, string>
  readonly settings: {
    readonly maxAttempts: number
    /** Milliseconds after the first failure, the second, and so on; null: the processor's policy. */
    readonly retryWaits: ReadonlyArray<number> | null
    readonly orderingKey: string | null
    readonly onDead: "block" | "skip"
    readonly expiresAt: Date | null
  }
  readonly attempts: number
  readonly redrives: number
  /** How often the process was gone in the middle of its delivery. */
  readonly crashes: number
  /** `key`: it is behind another entry of its key. `turn`: its type is paused, or has a limit. */
  readonly waitsFor: "key" | "turn" | null
  /** Whether it is dead and its key waits for it. */
  readonly blocks: boolean
  readonly nextAttemptAt: Date | null
  readonly lastAttemptAt: Date | null
  readonly deliveredAt: Date | null
  readonly diedAt: Date | null
  readonly discardedAt: Date | null
  readonly error: string | null
  /** What did not deliver it, oldest first. */
  readonly history: ReadonlyArray<Attempt>
}

type Row =
  & Pick<
    InspectedEntry,
    | "id"
    | "destination"
    | "status"
    | "attempts"
    | "redrives"
    | "crashes"
    | "waitsFor"
    | "blocks"
    | "nextAttemptAt"
    | "lastAttemptAt"
    | "deliveredAt"
    | "diedAt"
    | "discardedAt"
    | "error"
  >
  & InspectedEntry["settings"]
  & { readonly oversize: boolean }

export const inspectEntry = (db: Database) => {
  const history = readHistory(db)
  return Effect.fnUntraced(function*(id: string) {
    const { now, sql, table } = db
    const [row] = yield* sql<Row>`
      SELECT ${eventColumns(sql, yield* now)},
        CASE WHEN o.discarded_at IS NOT NULL THEN 'discarded' ELSE coalesce(o.status, 'pending') END AS status,
        coalesce(o.max_attempts, 5) AS "maxAttempts", o.retry_waits AS "retryWaits", o.ordering_key AS "orderingKey",
        coalesce(o.on_dead, 'block') AS "onDead", o.expires_at AS "expiresAt", coalesce(o.attempts, 0) AS attempts, o.redrives,
        o.crashes, o.waits_for AS "waitsFor", o.blocks, o.next_attempt_at AS "nextAttemptAt", o.last_attempt_at AS "lastAttemptAt",
        o.delivered_at AS "deliveredAt", CASE WHEN o.status = 'dead' THEN ${sql.literal(diedAt)} END AS "diedAt",
        o.discarded_at AS "discardedAt", o.error_message AS error
      FROM ${table.outbox} o WHERE o.id = ${id}::uuid`
    if (row === undefined) return Option.none<InspectedEntry>()
    const { expiresAt, maxAttempts, onDead, orderingKey, retryWaits } = row
    return Option.some<InspectedEntry>({
      id: row.id,
      destination: row.destination,
      status: row.status,
      envelope: envelopeOf(row),
      settings: { maxAttempts, retryWaits: toWaits(retryWaits), orderingKey, onDead, expiresAt },
      attempts: row.attempts,
      redrives: row.redrives,
      crashes: row.crashes,
      waitsFor: row.waitsFor,
      blocks: row.blocks,
      nextAttemptAt: row.nextAttemptAt,
      lastAttemptAt: row.lastAttemptAt,
      deliveredAt: row.deliveredAt,
      diedAt: row.diedAt,
      discardedAt: row.discardedAt,
      error: row.error,
      history: yield* history(id)
    })
  })
}
