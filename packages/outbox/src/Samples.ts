/**
 * What was emitted, delivered and lost over the last day, in steps of ten seconds or more: for charts.
 *
 * Written by the workers as they report themselves, so that reading costs the same whatever the outbox holds. Near enough and no more: a
 * report whose answer was lost is counted again, and what was rolled back counts as emitted.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import { InvalidRequest } from "./deadLetters/DeadFilter.ts"
import { sampleMillis } from "./workers/beat.ts"

/** What is counted. `failed`: attempts that are tried again. `fenced`: entries that somebody else had settled by then. */
export type SampleKind = "emitted" | "delivered" | "failed" | "dead" | "fenced"

export interface SampleSeries {
  readonly kind: SampleKind
  /** The name of the publisher; empty for what was emitted, which goes to whatever destination. */
  readonly destination: string
  /** How many in each step. */
  readonly values: ReadonlyArray<number>
}

export interface SampleRange {
  /** Milliseconds of a step, a multiple of ten seconds. */
  readonly step: number
  /** When each step begins, oldest first. */
  readonly times: ReadonlyArray<Date>
  /** By kind and destination; those of which there is nothing in the range are left out. Each has as many values as there are times. */
  readonly series: ReadonlyArray<SampleSeries>
}

export class Samples extends Context.Service<Samples, {
  /**
   * The steps from the one that `from` lies in up to `to`, at most 2,000. `step` is rounded up to ten seconds. Samples are kept for a day.
   */
  readonly range: (
    from: Date,
    to: Date,
    step: Duration.Input
  ) => Effect.Effect<SampleRange, InvalidRequest | SqlError>
}>()("@zakops/outbox/Samples") {
  static readonly layer = Layer.effect(
    Samples,
    Effect.map(Database.make, (db) => {
      const read = readSteps(db)
      return Samples.of({
        range: Effect.fn("Samples.range")(function*(from, to, step) {
          const range = yield* Effect.fromResult(Option.match(Duration.fromInput(step), {
            onNone: () => Result.fail(refuse("step", `is ${String(step)}, which is no duration`)),
            onSome: (step) => stepsOf(from.getTime(), to.getTime(), Duration.toMillis(step))
          }))
          return toRange(range, yield* read(range))
        })
      })
    })
  )
}

const mostSteps = 2000

interface Steps {
  readonly first: number
  readonly step: number
  readonly count: number
}

const refuse = (field: string, problem: string) => new InvalidRequest({ field, problem })

const stepsOf = (from: number, to: number, given: number): Result.Result<Steps, InvalidRequest> => {
  if (Number.isNaN(from)) return Result.fail(refuse("from", "is no time"))
  if (!(to > from)) return Result.fail(refuse("to", "is not after from"))
  const step = Math.max(1, Math.ceil(given / sampleMillis)) * sampleMillis
  const first = Math.floor(from / step) * step
  const count = Math.ceil((to - first) / step)
  return count <= mostSteps && Number.isFinite(step)
    ? Result.succeed({ first, step, count })
    : Result.fail(refuse("step", `makes ${count} steps of the range: allowed are ${mostSteps}`))
}

interface Row {
  readonly kind: SampleKind | "routed"
  readonly destination: string
  readonly n: number
  readonly value: number
}

/** One row for each step and kind of which there is something. Walks the primary key. */
const readSteps = ({ sql, table }: Database.Database) => ({ count, first, step }: Steps) => {
  const from = sql`${new Date(first)}::timestamptz`
  return sql<Row>`
    WITH steps AS (
      SELECT kind, destination, floor(extract(epoch FROM at - ${from}) * 1000 / ${step}::float8)::int AS n, sum(value) AS added,
        max(value) AS highest
      FROM ${table.samples} WHERE at >= ${from} AND at < ${new Date(first + count * step)}::timestamptz
      GROUP BY kind, destination, n
    ),
    -- How high it was before the first step, for the difference.
    before AS (
      SELECT max(value) AS value FROM (
        SELECT value FROM ${table.samples} WHERE at < ${from} AND destination = '' AND kind = 'emitted' ORDER BY at DESC LIMIT 1
      ) AS last
    )
    SELECT kind, destination, n, added::float8 AS value FROM steps WHERE kind <> 'emitted'
    UNION ALL
    SELECT kind, destination, n, greatest(0, highest - coalesce(
        max(highest) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), before.value, highest))::float8
    FROM steps CROSS JOIN before WHERE kind = 'emitted'`
}

const kinds: ReadonlyArray<SampleKind> = ["emitted", "delivered", "failed", "dead", "fenced"]

const toRange = ({ count, first, step }: Steps, rows: ReadonlyArray<Row>): SampleRange => {
  // An entry that was made for a route has a number as well, and was emitted by nobody.
  const routed = new Map<number, number>()
  for (const { kind, n, value } of rows) if (kind === "routed") routed.set(n, (routed.get(n) ?? 0) + value)
  const series = new Map<string, { kind: SampleKind; destination: string; values: Array<number> }>()
  for (const { destination, kind, n, value } of rows) {
    if (kind === "routed") continue
    const name = `${kind} ${destination}`
    const found = series.get(name) ?? { kind, destination, values: Array.from({ length: count }, () => 0) }
    found.values[n] = kind === "emitted" ? Math.max(0, value - (routed.get(n) ?? 0)) : value
    series.set(name, found)
  }
  return {
    step,
    times: Array.from({ length: count }, (_, n) => new Date(first + n * step)),
    series: [...series.values()].toSorted((a, b) =>
      kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.destination < b.destination ? -1 : 1)
    )
  }
}
