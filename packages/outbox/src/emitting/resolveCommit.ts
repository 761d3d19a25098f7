/**
 * Whether a transaction was committed whose COMMIT got no answer: the connection was lost in between, and either may be true.
 *
 * An entry that it has written tells. The transaction's id does not: a server that crashes before the COMMIT has reached its
 * disk gives the same id to somebody else.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql/SqlError"
import { inRolledBackTransaction } from "./inRolledBackTransaction.ts"

/** Whether what a transaction has written is there. To be asked with no transaction open; fails while nobody can tell. */
export type CommitToken = Effect.Effect<boolean, SqlError>

/** A COMMIT of which nobody knows: the connection went away, or the server was shut down. */
export const isUnanswered = (error: SqlError): boolean => {
  const state = SqlErrors.sqlState(error)
  return state === undefined
    ? SqlErrors.isDatabaseTrouble(error) && error.reason.operation !== "commit"
    : /^(08|57P0)/.test(state)
}

/**
 * Tries to write an entry with the same id, and takes that back: Postgres waits for the transaction that holds the id, whose session may
 * still be at it, and knows what has become of it. Fails where that takes more than half a second.
 */
export const tokenOf = ({ sql, table }: Database, id: string): CommitToken =>
  // Made for each emit, and hardly ever run.
  Effect.suspend(() =>
    SqlErrors.lostAsFailure(
      inRolledBackTransaction(sql)(Effect.gen(function*() {
        yield* sql`SELECT set_config('lock_timeout', '500', true)`
        const written = yield* sql`
        INSERT INTO ${table.outbox} (id, correlation_id) VALUES (${id}::uuid, ${id}::uuid) ON CONFLICT DO NOTHING RETURNING 1`
        return written.length === 0
      }))
    )
  )

// For half a minute: longer than a restart or a failover that anybody waits for.
const patience = Schedule.spaced("500 millis").pipe(Schedule.upTo({ duration: "30 seconds" }))

/**
 * Asks until there is an answer. Gives true where it was committed: any of the tokens is there. False where it was rolled back, and fails
 * with the last error where nobody could tell within half a minute.
 */
export const wasCommitted = (tokens: ReadonlyArray<CommitToken>): Effect.Effect<boolean, SqlError> =>
  Effect.retry(
    Effect.gen(function*() {
      for (const token of tokens) if (yield* token) return true
      return false
    }),
    patience
  )
