/** The command `zakops` in this process: as test/support/zakops.ts has it in one of its own, without the time that takes to start. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { exitCodeOf } from "@zakops/cli/exitCodes"
import { layerPresenter } from "@zakops/cli/presenter"
import { zakops } from "@zakops/cli/zakops"
import * as Cause from "effect/Cause"
import * as Command from "effect/cli/Command"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { errorReported } from "effect/Runtime"
import { format } from "node:util"
import { DatabaseUrl } from "./TestDatabase.ts"

export interface Ended {
  readonly code: number
  readonly stdout: string
  /** The one line that says what went wrong, or what effect/cli has printed about the command line. */
  readonly problem: string
}

/** Runs the command with these arguments and variables, and no others. */
export const runHere = Effect.fnUntraced(
  function*(args: ReadonlyArray<string>, variables: Record<string, string> = {}) {
    const output = { stdout: "", stderr: "" }
    const own: Console.Console = Object.create(yield* Console.Console, {
      log: { value: (...words: ReadonlyArray<unknown>) => output.stdout += `${format(...words)}\n` },
      error: { value: (...words: ReadonlyArray<unknown>) => output.stderr += `${format(...words)}\n` }
    })
    const program = Command.runWith(zakops, { version: "0" })(args).pipe(
      Effect.provideService(Console.Console, own),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables)),
      Effect.provide(Layer.merge(NodeServices.layer, layerPresenter))
    )
    // By itself, as in a process of its own: what the test has built of the same layers must not be taken for the command's.
    const exit = yield* Effect.promise((signal) => Effect.runPromiseExit(program, { signal }))
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    // What is not marked as told already is printed with its stack by the process.
    const told = error === undefined || error instanceof Error && error[errorReported] === false
    const line = !told
      ? `would be printed with its stack: ${String(error)}`
      : error instanceof Error && output.stderr === ""
      ? `zakops: ${error.message}`
      : output.stderr
    return { code: exitCodeOf(exit), stdout: output.stdout, problem: line } satisfies Ended
  }
)

/** On the test's own database. */
export const onDatabase = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(DatabaseUrl, (DATABASE_URL) => runHere(args, { DATABASE_URL }))

/** What it prints, which must have gone well. */
export const printed = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(
    onDatabase(...args),
    ({ code, problem, stdout }) => code === 0 ? Effect.succeed(stdout) : Effect.die(new Error(`${code}: ${problem}`))
  )

/** Words separated by single spaces, as `run` of test/support/zakops.ts takes them, and gives what it gives. */
export const run = (command: string, variables: Record<string, string>) =>
  Effect.map(
    runHere(command.split(" "), variables),
    ({ code, problem, stdout }) => ({
      code,
      stdout,
      stderr: problem === "" || problem.endsWith("\n") ? problem : `${problem}\n`
    })
  )
