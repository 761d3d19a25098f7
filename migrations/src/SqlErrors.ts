/** What an error from Postgres says, and whether it speaks of the statement's data or of the database's own trouble. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"

const serverError = (error: SqlError): unknown => error.reason.cause

/** Node's names of what happened to a connection (EPIPE) are as long as a SQLSTATE, none of which is made of an E and letters. */
const anyState = /^(?!E[A-Z]{4}$)[0-9A-Z]{5}$/

/** The SQLSTATE of the server's answer, if it gave one. */
export const sqlState = (error: SqlError): string | undefined => {
  const cause = serverError(error)
  return Predicate.hasProperty(cause, "code") && typeof cause.code === "string" && anyState.test(cause.code)
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

// Serialization failure and deadlock; the server stopping, crashed or starting; too many connections; class 08, the connection.
const passing = /^(40001|40P01|57P0[123]|53300|08)/

/**
 * True where the same work may succeed if it is done again from its beginning: the states that
 * https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html and a restart or failover bring. Never to be tried
 * again inside a transaction of the caller's, which is gone.
 */
export const isPassing = (error: SqlError): boolean => {
  const state = sqlState(error)
  return state === undefined ? isDatabaseTrouble(error) : passing.test(state)
}

/** True where a table, column, function or privilege is missing: a fault of the set-up, which every statement of the kind would meet. */
export const isSetUpFault = (error: SqlError): boolean => sqlState(error)?.startsWith("42") ?? false

/** True where a value is none of its type: class 22 of the server, or what the client could not even put into the protocol. */
export const isRefusedValue = (error: SqlError): boolean =>
  sqlState(error)?.startsWith("22") ?? Predicate.isTagged(serverError(error), "PgTypesCodecError")

/** `isDatabaseTrouble` of anything that may have gone wrong. */
export const isTrouble = (error: unknown): error is SqlError => isSqlError(error) && isDatabaseTrouble(error)

/**
 * A connection that is lost in a transaction cannot be rolled back either, which the client takes for a defect: it is a failure like any
 * other of the database's, and comes as one here.
 */
export const lostAsFailure = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
  Effect.catchCause(self, (cause): Effect.Effect<never, E | SqlError> => {
    const error = Cause.hasInterrupts(cause) || !Cause.hasDies(cause) ? undefined : Cause.squash(cause)
    return isTrouble(error) ? Effect.fail(error) : Effect.failCause(cause)
  })
