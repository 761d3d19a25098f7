/** A user's mistake or an absent database, told in one line on stderr, with an exit code that says which: no stack trace. */
import type { CannotListen, NotProtected } from "@zakops/admin"
import type { ProjectionRefused } from "@zakops/event-store/ProjectionCatalog"
import type { RestoredFromDump } from "@zakops/event-store/restoredLog"
import type { NotOwner } from "@zakops/migrations/roles"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { NotMigrated, UnsupportedPostgres } from "@zakops/migrations/Migrations"
import type { InvalidSetting } from "@zakops/outbox/InvalidSetting"
import type { EmptyFilter, InvalidRequest, NotBlocked, StoppedMidway, UnreadableHistory } from "@zakops/outbox"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { errorExitCode, errorReported } from "effect/Runtime"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import { exitCodes } from "./exitCodes.ts"
import { harmless } from "./table.ts"

export class Problem extends Data.TaggedError("Problem")<{
  readonly line: string
  readonly cause?: unknown
  /** `failed` unless given. */
  readonly code?: number
}> {
  // It is printed below; the runtime need not log it once more.
  override readonly [errorReported] = false
  override readonly [errorExitCode] = this.code ?? exitCodes.failed
  override get message() {
    return this.line
  }
}

/** What stands on the command line, or in a variable, is not allowed: nothing was tried. */
export const misuse = (line: string) => new Problem({ line, code: exitCodes.usage })

/** What was named is not there. */
export const absent = (line: string) => new Problem({ line, code: exitCodes.absent })

export type Known =
  | SqlError
  | MigrationError
  | InvalidSchemaName
  | InvalidSetting
  | NotMigrated
  | NotOwner
  | UnsupportedPostgres
  | RestoredFromDump
  | ProjectionRefused
  | EmptyFilter
  | InvalidRequest
  | NotBlocked
  | StoppedMidway
  | UnreadableHistory
  | NotProtected
  | CannotListen
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

const codeOf = (error: Known): number => {
  switch (error._tag) {
    case "Problem":
      return error.code ?? exitCodes.failed
    case "SqlError":
      return SqlErrors.isDatabaseTrouble(error) ? exitCodes.unavailable : exitCodes.failed
    case "InvalidSchemaName":
    case "InvalidSetting":
    case "InvalidRequest":
    case "EmptyFilter":
    case "NotProtected":
      return exitCodes.usage
    case "NotBlocked":
      return exitCodes.absent
    default:
      return exitCodes.failed
  }
}

/** What was typed, and what others have written, may be of any length. */
const mostCharacters = 800

/** Prints what went wrong as one line and ends with the exit code that says of which kind it is. */
export const tellProblems = (where: string) => <A, R>(self: Effect.Effect<A, Known, R>): Effect.Effect<A, Problem, R> =>
  Effect.catch(self, (cause) => {
    const words = harmless(inOneLine(cause, where).replaceAll(/\s*\n\s*/g, " "))
    const line = words.length <= mostCharacters ? words : `${words.slice(0, mostCharacters)}...`
    return Effect.andThen(
      Effect.sync(() => process.stderr.write(`zakops: ${line}\n`)),
      new Problem({ line, cause, code: codeOf(cause) })
    )
  })
