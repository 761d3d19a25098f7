/** What servers of our own need of the machine, in the bench and in the tests: where they are found, free ports of the loopback, and folders. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

/** Servers are at home in sbin, which is not in everybody's PATH. */
export const env = { ...process.env, PATH: [process.env["PATH"] ?? "", "/usr/sbin", "/usr/local/sbin"].join(delimiter) }

export const isInstalled = (command: string): boolean => {
  try {
    execFileSync("sh", ["-c", `command -v ${command}`], { env, stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

export const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** Whether somebody accepts connections there. */
export const isListening = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1")
    const answer = (is: boolean) => {
      socket.destroy()
      resolve(is)
    }
    socket.once("connect", () => answer(true)).once("error", () => answer(false))
  })

/** A folder that goes when the scope closes. */
export const temporaryFolder = (name: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), `zakops-${name}-`))),
    // A server may be writing its last words.
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }))
  )
