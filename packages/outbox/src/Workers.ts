/**
 * The workers that there are: one for each destination of each process that delivers, as they last reported themselves.
 *
 * A worker reports every 5 seconds, takes itself off the list when it stops, and counts as gone when nothing was heard of it for 15. It
 * needs no configuration: whoever runs a processor is on the list. Only read; any process can ask.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import { aliveFor } from "./workers/beat.ts"

export interface Worker {
  readonly id: string
  /** Host and process. */
  readonly name: string
  /** What it delivers to: the publisher's name. */
  readonly destination: string
  /** True where it takes the entries of a route; false where it delivers to the main destination. */
  readonly route: boolean
  /** Of the package. */
  readonly version: string
  readonly startedAt: Date
  readonly seenAt: Date
  /** Heard of within the last 15 seconds. */
  readonly alive: boolean
  /** How it learns of new entries: `polling` where LISTEN does not work. */
  readonly listener: "listening" | "polling"
  /** Of its destination, as it sees it. */
  readonly breaker: "closed" | "open" | "probing"
  /** Entries that it has claimed and not settled yet. */
  readonly holding: number
  /** Entries that it has delivered in a second, lately. */
  readonly perSecond: number
  /** Its part, from 0 to 1, of what those who are alive deliver to the same destination; null where none delivers anything. */
  readonly share: number | null
  /** Since it was started: entries delivered, attempts failed, entries that died, and those that somebody else had settled. */
  readonly delivered: number
  readonly failed: number
  readonly dead: number
  readonly fenced: number
}

export class Workers extends Context.Service<Workers, {
  /** By destination, the main one first, and then in the order of their start. Those that are gone stay for a minute. */
  readonly list: Effect.Effect<ReadonlyArray<Worker>, SqlError>
}>()("@zakops/outbox/Workers") {
  static readonly layer = Layer.effect(
    Workers,
    Effect.gen(function*() {
      const { now, sql, table } = yield* Database.make
      const list = Effect.gen(function*() {
        const time = yield* now
        return yield* sql<Worker>`
          SELECT id, name, destination, route, version, started_at AS "startedAt", seen_at AS "seenAt", alive, listener, breaker, holding,
            per_second AS "perSecond",
            CASE WHEN alive THEN per_second / nullif(sum(per_second) FILTER (WHERE alive) OVER (PARTITION BY destination), 0) END AS share,
            delivered::float8 AS delivered, failed::float8 AS failed, dead::float8 AS dead, fenced::float8 AS fenced
          FROM (SELECT *, seen_at > ${time} - ${aliveFor}::float8 * interval '1 millisecond' AS alive FROM ${table.workers}) AS worker
          ORDER BY route, destination, started_at, id`
      })
      return Workers.of({ list: list.pipe(Effect.withSpan("Workers.list")) })
    })
  )
}
