/** The command `zakops` in a process of its own. */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { join } from "node:path"

const main = join(import.meta.dirname, "../../packages/cli/src/main.ts")

/** Starts `zakops`, with nothing of our own settings; ends it with the scope at the latest. */
export const start = Effect.fnUntraced(function*(
  command: string | ReadonlyArray<string>,
  env: Record<string, string>,
  // Where no .env lies, unless a test has put it there.
  cwd = import.meta.dirname
) {
  const { PATH = "" } = process.env
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [main, ...(typeof command === "string" ? command.split(" ") : command)], {
        cwd,
        env: { PATH, ...env },
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const output = { stdout: "", stderr: "" }
  child.stdout.on("data", (chunk: Buffer) => output.stdout += chunk.toString())
  child.stderr.on("data", (chunk: Buffer) => output.stderr += chunk.toString())
  const ended = Effect.callback<number | null>((resume) => {
    if (child.exitCode !== null) resume(Effect.succeed(child.exitCode))
    else child.once("close", (code) => resume(Effect.succeed(code)))
  })
  return { child, output, ended }
})

/** Runs the command, words separated by single spaces, to its end. */
export const run = (command: string, env: Record<string, string>) => runArgs(command.split(" "), env)

/** Runs the command with these arguments to its end. */
export const runArgs = (command: ReadonlyArray<string>, env: Record<string, string>) =>
  Effect.scoped(Effect.gen(function*() {
    const { ended, output } = yield* start(command, env)
    const code = yield* ended
    return { code, ...output }
  }))
