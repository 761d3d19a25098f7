/** Which keys a dead entry holds up, since when, and how much waits behind it. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { diedAt, isDead } from "./DeadFilter.ts"
import type { PageOptions } from "./listDead.ts"
import { checkAfter, checkLimit } from "./listDead.ts"
import { splitPage } from "./splitPage.ts"

export interface BlockedKey {
  readonly key: string
  /** The dead entry at its head. */
  readonly headId: string
  readonly eventType: string
  readonly error: string
  readonly since: Date | null
  /** How many entries wait behind it, counted up to 1,000. */
  readonly waiting: number
}

export interface BlockedPage {
  readonly keys: ReadonlyArray<BlockedKey>
  /** Where the next page begins, to be given as `after`; null on the last one. */
  readonly next: string | null
}

const mostCounted = 1000

/**
 * Finds the heads by the index outbox_dead, from the first on: those before which no other of their key is dead and in the way, by outbox_key;
 * and counts behind each of those that it gives by outbox_key. The OFFSET keeps the planner from reading outbox_key from one end to the other.
 */
export const listBlocked = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*({ after, limit = 100 }: PageOptions) {
    yield* checkLimit(limit, 1000)
    yield* checkAfter(after)
    const rows = yield* sql<BlockedKey & { readonly cursor: string }>`
      SELECT head.key, head.id AS "headId", head.event_type AS "eventType", head.error, head.since, behind.waiting, head.seq::text AS cursor
      FROM (
        SELECT o.ordering_key AS key, o.id, coalesce(o.event_type, '') AS event_type,
          coalesce(o.error_message, '') AS error, ${sql.literal(diedAt)} AS since, o.seq
        FROM (SELECT * FROM ${table.outbox} o WHERE ${sql.literal(isDead)} AND o.seq > ${
      after ?? "0"
    }::bigint ORDER BY o.seq OFFSET 0) AS o
        WHERE o.blocks AND o.ordering_key IS NOT NULL AND NOT coalesce((
          SELECT true FROM ${table.outbox} AS first
          WHERE first.ordering_key = o.ordering_key AND (NOT first.finished OR first.blocks) AND first.seq < o.seq AND first.blocks LIMIT 1
        ), false)
        ORDER BY o.seq LIMIT ${limit + 1}::int
      ) AS head CROSS JOIN LATERAL (
        SELECT count(*)::int AS waiting FROM (
          SELECT FROM ${table.outbox} o
          WHERE o.ordering_key = head.key AND (NOT o.finished OR o.blocks) AND o.seq > head.seq AND NOT o.finished
          LIMIT ${mostCounted}::int
        ) AS counted
      ) AS behind
      ORDER BY head.seq`
    const { last, page } = splitPage(rows, limit)
    return {
      keys: page.map((row): BlockedKey => Struct.omit(row, ["cursor"])),
      next: last?.cursor ?? null
    } satisfies BlockedPage
  })
