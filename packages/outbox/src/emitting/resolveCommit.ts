/**
 * Whether a transaction was committed whose COMMIT got no answer: the connection was lost in between, and either may be true.
 *
 * Something that the transaction has written is the token. Its id alone is none: a server that crashes before the COMMIT has reached its
 * disk gives the same id to somebody else.
 */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** What a transaction can be recognized by. */
export interface CommitToken {
  readonly xid: string
  /** Whether what it has written is there. */
  readonly isWritten: Effect.Effect<boolean, SqlError>
}

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
 * database did not come back within half a minute: then nobody knows. To be asked with no transaction open.
 */
export const wasCommitted = (sql: SqlClient, { isWritten, xid }: CommitToken): Effect.Effect<boolean, SqlError> => {
  const inProgress = Effect.gen(function*() {
    // A server that has crashed may not have come to this id again.
    const [row] = yield* sql<{ running: boolean }>`
      SELECT coalesce(CASE WHEN ${xid}::xid8 < pg_snapshot_xmax(pg_current_snapshot())
        THEN pg_xact_status(${xid}::xid8) = 'in progress' END, false) AS running`
    return row?.running ?? false
  })
  return inProgress.pipe(
    Effect.retry(patience),
    // Its session may still be at it.
    Effect.repeat({ schedule: patience, until: (running) => !running }),
    Effect.andThen(Effect.retry(isWritten, patience))
  )
}
