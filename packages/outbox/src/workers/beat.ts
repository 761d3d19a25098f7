/** How a worker reports itself: its row in zakops.workers, and what it has done since the last time in zakops.samples. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { workerName } from "../delivering/worker.ts"
import { version } from "../version.ts"
import type { Totals } from "./Tally.ts"

export const betweenBeats = Duration.seconds(5)

/** Milliseconds for which a worker counts as alive without being heard of: two beats may be lost. */
export const aliveFor = 15_000

/** Milliseconds that one sample covers. */
export const sampleMillis = 10_000

/** One worker: a processor of this process, for one destination. */
export interface Identity {
  readonly id: string
  readonly destination: string
  readonly route: boolean
}

/** How it stands at the moment. */
export interface Vitals {
  readonly listener: "listening" | "polling"
  readonly breaker: "closed" | "open" | "probing"
  readonly holding: number
  readonly perSecond: number
}

/**
 * Renews the worker's row, and adds `since` to the samples of these ten seconds; for the main destination with the highest seq so far, where
 * the role may read it. One statement. Samples are written in one order, so that two workers cannot deadlock.
 */
export const beat = ({ now, schema, sql, table }: Database, { destination, id, route }: Identity) =>
  Effect.fnUntraced(function*({ breaker, holding, listener, perSecond }: Vitals, totals: Totals, since: Totals) {
    const time = yield* now
    const { dead, delivered, failed, fenced } = totals
    const samples = Object.entries(since).flatMap(([kind, value]) => value > 0 ? [{ kind, value }] : [])
    yield* sql`
      WITH worker AS (
        INSERT INTO ${table.workers} AS worker (id, name, destination, route, version, started_at, seen_at, listener, breaker, holding,
          per_second, delivered, failed, dead, fenced)
        VALUES (${id}::uuid, ${workerName}, ${destination}, ${route}::boolean, ${version}, ${time}, ${time}, ${listener}, ${breaker},
          ${holding}::int, ${perSecond}::float8, ${delivered}::bigint, ${failed}::bigint, ${dead}::bigint, ${fenced}::bigint)
        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, listener = excluded.listener, breaker = excluded.breaker,
          holding = excluded.holding, per_second = excluded.per_second, delivered = excluded.delivered, failed = excluded.failed,
          dead = excluded.dead, fenced = excluded.fenced
      ),
      sampled AS (
        SELECT ${destination}::text AS destination, kind, value
        FROM jsonb_to_recordset(${JSON.stringify(samples)}::jsonb) AS sample (kind text, value bigint)
        UNION ALL
        SELECT '', 'emitted', coalesce(last_value, 0) FROM pg_sequences
        WHERE NOT ${route}::boolean
          AND format('%I.%I', schemaname, sequencename) = pg_get_serial_sequence(format('%I.outbox', ${schema}::text), 'seq')
          AND has_sequence_privilege(format('%I.%I', schemaname, sequencename), 'SELECT')
      )
      INSERT INTO ${table.samples} AS sample (at, destination, kind, value)
      SELECT to_timestamp(floor(extract(epoch FROM ${time}) * 1000 / ${sampleMillis}::float8) * ${sampleMillis}::float8 / 1000),
        destination, kind, value
      FROM sampled ORDER BY destination, kind
      ON CONFLICT (at, destination, kind) DO UPDATE SET
        value = CASE WHEN sample.kind = 'emitted' THEN greatest(sample.value, excluded.value) ELSE sample.value + excluded.value END`
  })

/** Takes the worker off the list. */
export const leave = ({ sql, table }: Database, { id }: Identity) =>
  sql`DELETE FROM ${table.workers} WHERE id = ${id}::uuid`
