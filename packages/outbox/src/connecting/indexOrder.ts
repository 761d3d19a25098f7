import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"

/**
 * Settings for a transaction whose statements are to walk indexes in their order, to stand behind SELECT: with a LIMIT and without statistics
 * of its rows, the planner would read a table from its front, past a million rows that do not match, or gather all keys before it takes the
 * first. Without compiling: what is switched off looks so dear to the planner that it would spend seconds on that.
 */
export const indexOrder = (sql: SqlClient): Fragment =>
  sql`set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true)`
