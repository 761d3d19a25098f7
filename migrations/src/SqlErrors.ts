/** What an error from Postgres says, and whether it speaks of the statement's data or of the database's own trouble. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"

const serverError = (error: SqlError): unknown => error.reason.cause

/** The SQLSTATE of the server's answer, if it gave one. */
export const sqlState = (error: SqlError): string | undefined => {
  const cause = serverError(error)
  return Predicate.hasProperty(cause, "code") && typeof cause.code === "string" && /^[0-9A-Z]{5}$/.test(cause.code)
    ? cause.code
    : undefined
}

/** The server's own words; `SqlError.message` holds only what the client was doing. */
export const serverText = (error: SqlError): string => {
  const cause = serverError(error)
  if (Predicate.hasProperty(cause, "errors") && Array.isArray(cause.errors) && cause.errors[0] instanceof Error) {
    return cause.errors[0].message
  }
  return cause instanceof Error && cause.message !== "" ? cause.message : error.message
}

// 08 connection, 25006 read-only (a standby), 40 rolled back by the server, 53 out of resources, 55P03 lock not to be had,
// 57 operator's intervention and time-outs, 58 system, F0 and XX server damage.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const trouble = /^(08|25006|40|53|55P03|57|58|F0|XX)/

/** True where the database could not do its work at all: the same statement may well succeed later. */
export const isDatabaseTrouble = (error: SqlError): boolean => {
  const state = sqlState(error)
  if (state !== undefined) return trouble.test(state)
  // Without an answer from the server it is the connection, unless the client could not put a value into the protocol.
  return !Predicate.isTagged(serverError(error), "PgTypesCodecError")
}

/** True where a table, column, function or privilege is missing: a fault of the set-up, which every statement of the kind would meet. */
export const isSetUpFault = (error: SqlError): boolean => sqlState(error)?.startsWith("42") ?? false

/** `isDatabaseTrouble` of anything that may have gone wrong. */
export const isTrouble = (error: unknown): error is SqlError => isSqlError(error) && isDatabaseTrouble(error)

/**
 * To stand around a transaction. When its connection is lost, its ROLLBACK fails as well, and Effect's `withTransaction` makes defects of all
 * that went wrong, which nothing would try again. This gives the database's trouble back as the failure that it is: nothing was committed.
 */
export const lossAsFailure = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
  Effect.catchCause(self, (cause): Effect.Effect<never, E | SqlError> => {
    if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
    const [trouble] = cause.reasons.flatMap((reason) =>
      Cause.isDieReason(reason) && isTrouble(reason.defect) ? [reason.defect] : []
    )
    return trouble === undefined ? Effect.failCause(cause) : Effect.fail(trouble)
  })
