/** Runs an effect in a transaction, or in a savepoint of the open one, that is rolled back when it has succeeded, and gives what it gave. */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** Ends the transaction with a roll-back, and carries the answer out of it. */
class RolledBack<A> {
  readonly answer: A
  constructor(answer: A) {
    this.answer = answer
  }
}

export const inRolledBackTransaction =
  (sql: SqlClient) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.catch(
      sql.withTransaction(Effect.flatMap(self, (value) => Effect.fail(new RolledBack(value)))),
      (error) => error instanceof RolledBack ? Effect.succeed(error.answer as A) : Effect.fail(error as E | SqlError)
    )
