/** Starting the processes of a run, each with a log of its own. They end with the scope, or with this process, at the latest. */
import * as Effect from "effect/Effect"
import type { ChildProcess } from "node:child_process"
import { fork } from "node:child_process"
import { openSync } from "node:fs"
import { join } from "node:path"

export interface Child {
  readonly process: ChildProcess
  readonly pid: number
  /** Waits for its end, and gives its exit code: null where a signal ended it. */
  readonly ended: Effect.Effect<number | null>
}

export interface Start {
  /** Beside this file. */
  readonly file: string
  readonly name: string
  /** Where its log goes. */
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  /** Modules of this folder to be loaded first. */
  readonly first?: ReadonlyArray<string> | undefined
  readonly hear?: ((told: unknown) => void) | undefined
}

export const startChild = ({ env, file, first = [], folder, hear, name }: Start): Child => {
  const log = openSync(join(folder, `${name}.log`), "a")
  const { PATH = "" } = process.env
  const child = fork(join(import.meta.dirname, file), [], {
    execArgv: first.flatMap((module) => ["--import", `./${module}`]),
    cwd: import.meta.dirname,
    env: { PATH, TORTURE_NAME: name, ...env },
    stdio: ["ignore", log, log, "ipc"]
  })
  if (hear !== undefined) child.on("message", hear)
  // A message to a child that has just died is lost; that is all.
  child.on("error", () => {})
  return {
    process: child,
    pid: child.pid ?? 0,
    ended: Effect.callback<number | null>((resume) => {
      const gone = () => resume(Effect.succeed(child.exitCode))
      if (child.exitCode !== null || child.signalCode !== null) gone()
      else child.once("exit", gone)
    })
  }
}

export const endNow = ({ ended, process }: Child) =>
  Effect.suspend(() => {
    process.kill("SIGKILL")
    return Effect.asVoid(ended)
  })

/** As `startChild`; killed when the scope closes. */
export const childInScope = (start: Start) => Effect.acquireRelease(Effect.sync(() => startChild(start)), endNow)
