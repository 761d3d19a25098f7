/** A worker in a process of its own: begun, asked for what it has got, ended with the scope. What runs in it is `workerMain.ts`. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { WorkerName } from "./workers.ts"

/** What the process is told when it begins. */
export interface Task {
  readonly worker: WorkerName
  readonly url: string
  /** Whether it is to remember when each event came. */
  readonly times: boolean
}

/** What it has got until now. */
export interface Received {
  readonly count: number
  /** By the number of the payload, in milliseconds of the clock that all processes of a machine share. */
  readonly times: Readonly<Record<number, number>>
  /** The most bytes of memory that it has had. */
  readonly memory: number
}

export interface WorkerProcess {
  readonly received: Effect.Effect<Received>
}

/** Milliseconds of a clock that all processes of the machine share. */
export const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6

const ask = async (child: ChildProcess): Promise<Received> => {
  const answer = once(child, "message")
  child.send("received")
  const [received] = await answer
  return received as Received
}

/** Delivers until the scope closes. */
export const workerProcess = (task: Task): Effect.Effect<WorkerProcess, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        // Effect logs to stdout, and why a worker cannot begin has to be seen.
        const child = fork(fileURLToPath(new URL("workerMain.ts", import.meta.url)), [JSON.stringify(task)], {
          stdio: ["ignore", 2, 2, "ipc"]
        })
        const [first] = await Promise.race([once(child, "message"), once(child, "exit")])
        if (first !== "ready") throw new Error(`the worker ${task.worker} ended with ${String(first)}`)
        return child
      }),
      (child) =>
        Effect.promise(async () => {
          if (child.exitCode !== null || child.signalCode !== null) return
          const gone = once(child, "exit")
          child.kill("SIGTERM")
          await gone
        })
    ),
    (child) => ({ received: Effect.promise(() => ask(child)) })
  )
