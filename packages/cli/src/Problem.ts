/** A user's mistake or an absent database, told in one line on stderr, with exit code 1: no stack trace. */
import type { ProjectionRefused } from "@zakops/event-store/ProjectionCatalog"
import type { RestoredFromDump } from "@zakops/event-store/restoredLog"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { NotMigrated, UnsupportedPostgres } from "@zakops/migrations/Migrations"
import type { InvalidSetting } from "@zakops/outbox/InvalidSetting"
import type { EmptyFilter, InvalidRequest, NotBlocked, StoppedMidway, UnreadableHistory } from "@zakops/outbox"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { errorReported } from "effect/Runtime"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"

export class Problem extends Data.TaggedError("Problem")<{ readonly line: string; readonly cause?: unknown }> {
  // It is printed below; the runtime need not log it once more.
  override readonly [errorReported] = false
  override get message() {
    return this.line
  }
}

export type Known =
  | SqlError
  | MigrationError
  | InvalidSchemaName
  | InvalidSetting
  | NotMigrated
  | UnsupportedPostgres
  | RestoredFromDump
  | ProjectionRefused
  | EmptyFilter
  | InvalidRequest
  | NotBlocked
  | StoppedMidway
  | UnreadableHistory
  | Problem

/** `where` is the database without its password, for errors that only its server can explain. */
const inOneLine = (error: Known, where: string): string => {
  switch (error._tag) {
    case "SqlError":
      return SqlErrors.sqlState(error) === undefined
        ? `cannot reach the database at ${where}: ${SqlErrors.serverText(error)}`
        : `the database at ${where} refuses: ${SqlErrors.serverText(error)}`
    case "MigrationError":
      return `${error.message}: ${isSqlError(error.cause) ? SqlErrors.serverText(error.cause) : String(error.cause)}`
    default:
      return error.message
  }
}

/** Prints what went wrong as one line and ends with exit code 1. */
export const tellProblems = (where: string) => <A, R>(self: Effect.Effect<A, Known, R>): Effect.Effect<A, Problem, R> =>
  Effect.catch(self, (cause) => {
    const line = inOneLine(cause, where).replaceAll(/\s*\n\s*/g, " ")
    return Effect.andThen(
      Effect.sync(() => process.stderr.write(`zakops: ${line}\n`)),
      new Problem({ line, cause })
    )
  })
