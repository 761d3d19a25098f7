/** A page of dead letters, latest written first. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import type { CheckedFilter } from "./DeadFilter.ts"
import { diedAt, InvalidRequest, whereDead } from "./DeadFilter.ts"
import { eventId } from "./eventColumns.ts"
import { splitPage } from "./splitPage.ts"

export interface DeadLetter {
  readonly id: string
  /** The event that it takes to its destination: its own id, unless it is an entry of a route. */
  readonly eventId: string
  /** Empty where the row has none. */
  readonly eventType: string
  readonly schemaVersion: number
  readonly correlationId: string
  readonly orderingKey: string | null
  /** A route's name; null for the main destination. */
  readonly destination: string | null
  /** Whether its key waits for it. */
  readonly blocks: boolean
  readonly attempts: number
  readonly maxAttempts: number
  /** How often it was given all its attempts again. */
  readonly redrives: number
  readonly createdAt: Date | null
  readonly diedAt: Date | null
  readonly error: string
}

export interface DeadPage {
  readonly entries: ReadonlyArray<DeadLetter>
  /** Where the next page begins, to be given as `after`; null on the last one. */
  readonly next: string | null
}

export interface PageOptions {
  /** 1 to 1,000; 100 unless given. */
  readonly limit?: number | undefined
  /** `next` of the page before. */
  readonly after?: string | undefined
}

/** Walks the index outbox_dead backwards. Stable: what dies meanwhile is on no later page, unless it was written earlier. */
export const listDead = (db: Database) =>
  Effect.fnUntraced(function*(filter: CheckedFilter, { after, limit = 100 }: PageOptions) {
    const { now, sql, table } = db
    yield* checkLimit(limit, 1000)
    yield* checkAfter(after)
    const time = yield* now
    const rows = yield* sql<DeadLetter & { readonly cursor: string }>`
      SELECT o.id, ${
      sql.literal(eventId)
    } AS "eventId", coalesce(o.event_type, '') AS "eventType", coalesce(o.schema_version, 1) AS "schemaVersion",
        o.correlation_id AS "correlationId", o.ordering_key AS "orderingKey", o.destination, o.blocks, coalesce(o.attempts, 0) AS attempts,
        coalesce(o.max_attempts, 5) AS "maxAttempts", o.redrives, o.created_at AS "createdAt",
        ${sql.literal(diedAt)} AS "diedAt", coalesce(o.error_message, '') AS error, o.seq::text AS cursor
      FROM ${table.outbox} o
      WHERE ${whereDead(db, filter, time)} AND o.seq < ${after ?? lastSeq}::bigint
      ORDER BY o.seq DESC
      LIMIT ${limit + 1}::int`
    const { last, page } = splitPage(rows, limit)
    return {
      entries: page.map((row): DeadLetter => Struct.omit(row, ["cursor"])),
      next: last?.cursor ?? null
    } satisfies DeadPage
  })

const lastSeq = "9223372036854775807"

/** Where a page begins is the `seq` of the last entry of the page before. */
export const checkAfter = (after: string | undefined) =>
  after === undefined || (/^\d{1,19}$/.test(after) && BigInt(after) <= BigInt(lastSeq))
    ? Effect.void
    : Effect.fail(
      new InvalidRequest({ field: "after", problem: `is ${JSON.stringify(after)}, which no page has given` })
    )

export const checkLimit = (limit: number, most: number) =>
  Number.isInteger(limit) && limit >= 1 && limit <= most
    ? Effect.void
    : Effect.fail(
      new InvalidRequest({ field: "limit", problem: `is ${limit}: allowed is a whole number from 1 to ${most}` })
    )
