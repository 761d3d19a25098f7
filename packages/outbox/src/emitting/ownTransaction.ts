/** Holds the right to write against the transaction that is really open. */
import type { Database } from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect/Fiber"
import type { Connection } from "effect/sql/SqlConnection"
import { Transaction } from "../TransactionalPublisher.ts"

/** The transaction that may be written in, and where it stands: a savepoint is another place than what it stands in. */
export interface OwnTransaction {
  readonly granted: Transaction["Service"]
  readonly level: readonly [connection: Connection, depth: number]
}

/**
 * The transaction of `context`, or undefined where it is not the one that is open: carried out of it, by a forked fiber or a stored
 * context, a `Transaction` would write on its own.
 */
const find = ({ sql }: Database, context: Context.Context<never>): OwnTransaction | undefined => {
  const granted = Context.getOrUndefined(context, Transaction)
  const level = Context.getOrUndefined(context, sql.transactionService)
  return granted !== undefined && level !== undefined && granted.isOpen() && level[0] === granted.connection
    ? { granted, level }
    : undefined
}

/** Runs `use` with the transaction that is open here; a defect, where that is not the one that was granted. */
export const inOwnTransaction = <A, E>(
  db: Database,
  use: (transaction: OwnTransaction, fiber: Fiber<unknown, unknown>) => Effect.Effect<A, E, Transaction>
): Effect.Effect<A, E, Transaction> =>
  Effect.withFiber((fiber) => {
    const transaction = find(db, fiber.context)
    return transaction === undefined
      ? Effect.die(new Error("the transaction that this effect was given has ended, or is not the one that is open"))
      : use(transaction, fiber)
  })

/** A defect, unless the transaction that is open here is the one that was granted. */
export const requireOwnTransaction = (db: Database): Effect.Effect<void, never, Transaction> =>
  inOwnTransaction(db, () => Effect.void)
