/** The right to emit: what `emit` requires, what it tells of what it has written, and where it holds. */
import * as Context from "effect/Context"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { CommitToken } from "./emitting/resolveCommit.ts"

/** Who is to be told of a commit, each time once. Plain functions: see `Transaction.atCommit`. */
export interface CommitNotice {
  /** All has been done, and COMMIT is sent now. It may fail. */
  readonly committing: () => void
  /** All of it is committed. */
  readonly committed: () => void
}

/**
 * The right to emit: an open transaction. `TransactionalPublisher` alone provides it, so that emitting outside of one does not compile.
 */
export class Transaction extends Context.Service<Transaction, {
  /** The connection that the transaction has reserved. */
  readonly connection: Connection
  /** False once `transact` or `join` has ended. */
  readonly isOpen: () => boolean
  /**
   * To be told by what the transaction can be recognized, by whoever has written something in it, and at which depth: what stands in a
   * savepoint may be rolled back alone.
   */
  readonly isKnownAs: (token: CommitToken, depth: number) => void
  /**
   * Tells `notice` of the commit of all of it: as `sql.afterCommit`, but with no effect to be run for it (0.97 instead of
   * 0.88 of the transactions with an INSERT by hand, 16 at a time). It may also be told of what is rolled back: of a savepoint that
   * `transact` has not opened, or where the fiber is interrupted at the end. Undefined where `transact` has not opened the outermost.
   */
  readonly atCommit: ((notice: CommitNotice) => void) | undefined
}>()("@zakops/outbox/Transaction") {}

/** The transaction that may be written in, and where it stands: a savepoint is another place than what it stands in. */
export interface OpenTransaction {
  readonly granted: Transaction["Service"]
  readonly level: readonly [connection: Connection, depth: number]
}

/**
 * The transaction of `context`, or undefined where it is not the one that is open: carried out of it, by a forked fiber or a stored
 * context, a `Transaction` would write on its own.
 */
export const openIn = (sql: SqlClient, context: Context.Context<never>): OpenTransaction | undefined => {
  const granted = Context.getOrUndefined(context, Transaction)
  const level = Context.getOrUndefined(context, sql.transactionService)
  return granted !== undefined && level !== undefined && granted.isOpen() && level[0] === granted.connection
    ? { granted, level }
    : undefined
}
