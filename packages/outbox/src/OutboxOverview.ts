/**
 * What an operator wants to know first: how much is waiting, for how long, what is being retried, what is dead.
 *
 * Reads the table as it stands; nothing is kept in memory, so any process can ask.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import { diedAt, isDead } from "./deadLetters/DeadFilter.ts"

export interface Overview {
  readonly pending: number
  readonly processing: number
  readonly delivered: number
  /** Without those that were discarded. */
  readonly dead: number
  /** Since when the oldest entry that is due has been waiting, by the database's clock. */
  readonly oldestPendingAge: Option.Option<Duration.Duration>
}

/** An entry that has failed at least once and waits for its next attempt. */
export interface WaitingEntry {
  readonly id: string
  readonly eventType: string
  readonly attempts: number
  readonly maxAttempts: number
  readonly nextAttemptAt: Date
  readonly error: string
}

export interface DeadEntry {
  readonly id: string
  readonly eventType: string
  readonly attempts: number
  readonly diedAt: Date | null
  readonly error: string
}

export class OutboxOverview extends Context.Service<OutboxOverview, {
  /** Counts by state. Delivered entries are counted one by one: on a table that keeps millions, that takes seconds. */
  readonly overview: Effect.Effect<Overview, SqlError>
  /** The next `limit` entries to be retried, soonest first. */
  readonly waiting: (limit: number) => Effect.Effect<ReadonlyArray<WaitingEntry>, SqlError>
  /** The latest `limit` dead letters, latest first. */
  readonly dead: (limit: number) => Effect.Effect<ReadonlyArray<DeadEntry>, SqlError>
}>()("@zakops/outbox/OutboxOverview") {
  static readonly layer = Layer.effect(
    OutboxOverview,
    Effect.gen(function*() {
      const { now, sql, table } = yield* Database.make

      const overview = Effect.gen(function*() {
        const time = yield* now
        const [counts] = yield* sql<
          Record<"pending" | "processing" | "delivered" | "dead", number> & { oldest: number | null }
        >`
          SELECT (count(*) FILTER (WHERE NOT finished AND status IS DISTINCT FROM 'processing'))::int AS pending,
            (count(*) FILTER (WHERE status = 'processing'))::int AS processing,
            (count(*) FILTER (WHERE status = 'delivered'))::int AS delivered,
            (count(*) FILTER (WHERE ${sql.literal(isDead)}))::int AS dead,
            (extract(epoch FROM ${time} - min(least(greatest(coalesce(next_attempt_at, created_at), '4713-01-01 BC'), ${time}))
              FILTER (WHERE NOT finished AND coalesce(next_attempt_at, '-infinity') <= ${time})) * 1000)::float8 AS oldest
          FROM ${table.outbox} o`
        const { oldest = null, ...states } = counts ?? { pending: 0, processing: 0, delivered: 0, dead: 0 }
        return { ...states, oldestPendingAge: Option.map(Option.fromNullishOr(oldest), Duration.millis) }
      })

      const waiting = (limit: number) =>
        sql<WaitingEntry>`
          SELECT id, coalesce(event_type, '') AS "eventType", attempts, coalesce(max_attempts, 5) AS "maxAttempts",
            next_attempt_at AS "nextAttemptAt", coalesce(error_message, '') AS error
          FROM ${table.outbox}
          WHERE NOT finished AND status IS DISTINCT FROM 'processing' AND attempts > 0 AND next_attempt_at IS NOT NULL
          ORDER BY coalesce(next_attempt_at, '-infinity'::timestamptz), seq
          LIMIT ${limit}::int`

      const dead = (limit: number) =>
        sql<DeadEntry>`
          SELECT id, coalesce(event_type, '') AS "eventType", attempts, ${sql.literal(diedAt)} AS "diedAt",
            coalesce(error_message, '') AS error
          FROM ${table.outbox} o
          WHERE ${sql.literal(isDead)}
          ORDER BY seq DESC
          LIMIT ${limit}::int`

      return OutboxOverview.of({ overview, waiting, dead })
    })
  )
}
