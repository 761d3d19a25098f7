/** What the command ends with, for scripts: docs/cli.md has the table. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { getErrorExitCode } from "effect/Runtime"

export const exitCodes = {
  done: 0,
  /** Tried, and refused or failed; or the doctor has found something serious. */
  failed: 1,
  /** Nothing was tried: the command line, or a variable, has a value that is not allowed. */
  usage: 2,
  /** The database does not answer, or cannot work at the moment: the same command may succeed later. */
  unavailable: 3,
  /** What was named is not there. */
  absent: 4,
  /** Ctrl-C or SIGTERM in the middle of something. */
  interrupted: 130
} as const

let whenTold: number = exitCodes.interrupted

/** For what goes on until it is told to stop: that is no failure, and a supervisor that has sent SIGTERM expects 0. */
export const untilTold = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    whenTold = exitCodes.done
    return self
  })

/** A command line that cannot be read is told, with the help, by effect/cli, whose error says 1. */
const isUsage = (error: unknown) =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "ShowHelp"

export const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return exitCodes.done
  if (Cause.hasInterruptsOnly(exit.cause)) return whenTold
  const error = Cause.squash(exit.cause)
  const code = getErrorExitCode(error)
  return code === exitCodes.failed && isUsage(error) ? exitCodes.usage : code
}
