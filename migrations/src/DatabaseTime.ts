/**
 * Whose clock decides what is due, expired or old: the database's, everywhere, in one swappable expression.
 *
 * Workers on machines with different clocks therefore agree. Tests swap the expression for Effect's own clock, and then
 * run hours of waiting against a real Postgres without sleeping.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"

/**
 * An effect that gives the SQL expression for "now". It must be stable within a statement, or the planner could not use it to search
 * an index: that rules `clock_timestamp()` out (volatile), and `now()` stands still from BEGIN on.
 */
export const DatabaseTime = Context.Reference<(sql: SqlClient) => Effect.Effect<Fragment>>(
  "@zakops/migrations/DatabaseTime",
  { defaultValue: () => (sql) => Effect.succeed(sql.literal("statement_timestamp()")) }
)

/** "Now" as Effect's Clock has it, so that `TestClock` moves the database's time as well. For tests. */
export const fromClock = (sql: SqlClient): Effect.Effect<Fragment> =>
  Effect.map(Clock.currentTimeMillis, (millis) => sql`${new Date(millis)}::timestamptz`)
