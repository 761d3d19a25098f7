/**
 * Whether a transaction was committed whose COMMIT got no answer: the connection was lost in between, and either may be true.
 *
 * The transaction's own id is the token: Postgres remembers what became of it.
 */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** A COMMIT of which nobody knows: the connection went away, or the server was shut down. */
export const isUnanswered = (error: SqlError): boolean => {
  const state = SqlErrors.sqlState(error)
  return state === undefined
    ? SqlErrors.isDatabaseTrouble(error) && error.reason.operation !== "commit"
    : /^(08|57P0)/.test(state)
}

// For half a minute: longer than a restart or a failover that anybody waits for.
const patience = Schedule.spaced("500 millis").pipe(Schedule.upTo({ times: 60 }))

/**
 * Asks until there is an answer. Gives true where it was committed, false where it was rolled back, and fails with the last error where the
 * database did not come back within half a minute: then nobody knows.
 */
export const wasCommitted = (sql: SqlClient, xid: string): Effect.Effect<boolean, SqlError> =>
  Effect.gen(function*() {
    const [row] = yield* sql<{ status: string | null }>`SELECT pg_xact_status(${xid}::xid8) AS status`
    return row?.status ?? "unknown"
  }).pipe(
    Effect.retry(patience),
    // Its session may still be at it.
    Effect.repeat({ schedule: patience, until: (status) => status !== "in progress" }),
    Effect.map((status) => status === "committed")
  )
