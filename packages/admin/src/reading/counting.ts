/**
 * Counts that stay cheap: up to a limit by the rows of an index in its order, and beyond it from the statistics that vacuum and analyze
 * have left of that index.
 */
import type { Database } from "@zakops/migrations/Database"
import { indexOrder } from "@zakops/outbox/connecting/indexOrder"
import type { Fragment } from "effect/sql/Statement"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Count } from "../api/values.ts"

/** Rows of an index that are counted one by one: some 5 ms. */
export const mostCounted = 10_000

/** What is counted, and what the statistics say of it; null where they say nothing. */
export const toCount = (counted: number, most: number, estimate: number | null): Count =>
  counted < most
    ? { value: counted, kind: "exact" }
    : estimate !== null && estimate > most
    ? { value: Math.round(estimate), kind: "estimated" }
    : { value: counted, kind: "atLeast" }

export const sumOf = (counts: ReadonlyArray<Count>): Count => ({
  value: counts.reduce((sum, { value }) => sum + value, 0),
  kind: counts.some(({ kind }) => kind === "estimated")
    ? "estimated"
    : counts.some(({ kind }) => kind === "atLeast")
    ? "atLeast"
    : "exact"
})

/** How many rows the index of the schema holds, as of the last vacuum or analyze; NULL where there was none yet. */
export const indexRows = ({ schema, sql }: Database, index: string): Fragment =>
  sql`(SELECT nullif(greatest(reltuples, 0), 0)::float8 FROM pg_class
    WHERE oid = to_regclass(quote_ident(${schema}) || '.' || quote_ident(${index})))`

/** Runs `self` in a transaction whose statements walk indexes in their order, are planned for what they are given, and end after 5 s. */
export const byIndex =
  ({ sql }: Database) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    sql.withTransaction(Effect.andThen(
      sql`SELECT ${indexOrder(sql)}, set_config('plan_cache_mode', 'force_custom_plan', true),
      set_config('statement_timeout', '5s', true)`,
      self
    ))
