/** A server on a port of its own, as the bench and the tests start brokers: it can be killed, started again and held still. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { env } from "./machine.ts"

/** It ends with the scope. */
export interface Server {
  /** Ends it as a crash does. Nothing happens where it is not running. */
  readonly kill: Effect.Effect<void>
  /** Starts it where it is not running, and returns when it answers. What it had stored is there again. */
  readonly start: Effect.Effect<void>
  /** Holds it still: connections stay, nobody answers. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

/**
 * Starts a server, which has to stay in the foreground.
 *
 * @param isUp whether it answers; asked every 20 ms until it does, for at most a minute
 */
export const startServer = Effect.fnUntraced(function*(options: {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Where a crash of it may leave things; that of this process unless given. */
  readonly cwd?: string
  readonly isUp: () => Promise<boolean>
}): Effect.fn.Return<Server, never, Scope.Scope> {
  let child: ChildProcess | undefined
  let log = ""
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null

  const start = Effect.promise(async () => {
    if (isRunning()) return
    log = ""
    const begun = spawn(options.command, [...options.args], {
      env: { ...env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own: a server may have children, and all of them are meant.
      detached: true
    })
    child = begun
    const failed = new Promise<never>((_, reject) => begun.once("error", reject))
    failed.catch(() => undefined)
    for (const output of [begun.stdout, begun.stderr]) {
      output?.on("data", (chunk: Buffer) => {
        log = (log + String(chunk)).slice(-10_000)
      })
    }
    const end = performance.now() + 60_000
    while (!(await Promise.race([options.isUp(), failed]))) {
      if (!isRunning()) throw new Error(`${options.command} has ended:\n${log}`)
      if (performance.now() > end) throw new Error(`${options.command} does not answer:\n${log}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })

  const signal = (name: NodeJS.Signals) => {
    if (child?.pid !== undefined && isRunning()) process.kill(-child.pid, name)
  }
  const kill = Effect.promise(async () => {
    if (child === undefined || !isRunning()) return
    const ended = new Promise((resolve) => child?.once("exit", resolve))
    signal("SIGKILL")
    await ended
  })
  // The signal alone does not tell when the last thread of the group stands still, and an answer may still leave it.
  const freeze = Effect.promise(async () => {
    signal("SIGSTOP")
    const group = String(child?.pid)
    const moves = () =>
      spawnSync("ps", ["-eo", "pgid=,stat="], { encoding: "utf8" }).stdout.split("\n")
        .map((line) => line.trim().split(/\s+/))
        .some(([pgid, state]) => pgid === group && !/^[TZ]/.test(state ?? ""))
    const end = performance.now() + 10_000
    while (moves()) {
      if (performance.now() > end) throw new Error(`${options.command} cannot be frozen`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })
  yield* Effect.acquireRelease(start, () => kill)
  return {
    kill,
    start,
    freeze,
    thaw: Effect.sync(() => signal("SIGCONT"))
  }
})
