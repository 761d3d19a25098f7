/**
 * What goes wrong in a handler that runs within one of our transactions: its own fault, the database's, or what a new transaction gets
 * over.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import { TransactionTooOld } from "./StreamId.ts"

/** What a new transaction gets over: serialization failures and deadlocks among them (class 40). */
export const isPassing = (error: unknown): error is TransactionTooOld | SqlError =>
  error instanceof TransactionTooOld || (isSqlError(error) && (SqlErrors.sqlState(error)?.startsWith("40") ?? false))

/** A statement or a lock took longer than it was allowed to (57014, 55P03): passing at times, and at times of the handler's own making. */
export const isTimeout = (error: unknown): boolean =>
  isSqlError(error) && /^(57014|55P03)$/.test(SqlErrors.sqlState(error) ?? "")

/** A statement of the handler has failed, and the handler went on as if nothing were: Postgres commits nothing of it. */
export class WentOnAfterError extends Data.TaggedError("WentOnAfterError") {
  override get message() {
    return "one of its statements failed and it went on, in a transaction that Postgres has given up: put a savepoint " +
      "(sql.withTransaction) around what may fail"
  }
}

/**
 * Fails where the open transaction cannot commit any more. COMMIT would say so without a name, and RELEASE SAVEPOINT as a defect: asked
 * here, it is known whose fault it was.
 */
export const requireUsable = ({ sql }: Database): Effect.Effect<unknown, SqlError | WentOnAfterError> =>
  Effect.catchIf(sql`SELECT 1`, (error) => SqlErrors.sqlState(error) === "25P02", () => new WentOnAfterError())

/** What went wrong, in words that are never blank. */
export const textOf = (error: unknown): string => {
  if (isSqlError(error)) return SqlErrors.serverText(error)
  if (error instanceof Error && error.message !== "") return error.message
  if (Predicate.isObject(error)) return asJson(error) ?? String(error)
  return String(error)
}

/** Errors without words of their own (a `TaggedError` has none unless it is given some) are told by their name and fields. */
const asJson = (error: object): string | undefined => {
  const name = error instanceof Error
    ? error.name
    : Predicate.hasProperty(error, "_tag")
    ? String(error._tag)
    : "an object"
  const { _tag, cause: _cause, message: _message, name: _name, stack: _stack, ...fields } = error as Record<
    string,
    unknown
  >
  try {
    return Object.keys(fields).length === 0 ? name : `${name} ${JSON.stringify(fields)}`
  } catch {
    return name
  }
}

export const reasonOf = (cause: Cause.Cause<unknown>): string => textOf(Cause.squash(cause))
