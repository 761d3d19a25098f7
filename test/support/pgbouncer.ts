/** Debian's PgBouncer in transaction mode before a database, where it is installed; required where REQUIRE_BROKERS is set. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync, spawn } from "node:child_process"
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const found = () => {
  for (const path of ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]) {
    try {
      execFileSync(path, ["--version"], { stdio: "ignore" })
      return path
    } catch {
      // Not here.
    }
  }
  return undefined
}

const binary = found()
const required = (process.env["REQUIRE_BROKERS"] ?? "") !== ""

/** True where the tests that need it are to be skipped. */
export const isMissing = binary === undefined && !required
if (isMissing) {
  process.stdout.write("PgBouncer is not installed: its tests are skipped (REQUIRE_BROKERS=1 makes that a failure)\n")
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** PgBouncer refuses to run as root: then it runs as this user. */
const unprivileged = () => {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"]).toString())
  return { uid: id("-u"), gid: id("-g") }
}

/** Starts it on loopback until the scope closes, and gives the URL of `url`'s database through it. Two sessions serve all clients. */
export const startPgBouncer = (url: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (binary === undefined) return yield* Effect.die(new Error("PgBouncer is not installed"))
    const target = new URL(url)
    const owner = unprivileged()
    const folder = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "zakops-pgbouncer-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const port = yield* Effect.promise(freePort)
    const name = target.pathname.slice(1)
    const settings = join(folder, "pgbouncer.ini")
    yield* Effect.promise(async () => {
      await writeFile(
        settings,
        [
          "[databases]",
          `${name} = host=${target.hostname} port=${target.port || 5432} dbname=${name} user=${target.username} ` +
          `password=${decodeURIComponent(target.password)}`,
          "[pgbouncer]",
          "listen_addr = 127.0.0.1",
          `listen_port = ${port}`,
          "unix_socket_dir =",
          "auth_type = any",
          "pool_mode = transaction",
          "default_pool_size = 2"
        ].join("\n"),
        { mode: 0o600 }
      )
      if (owner !== undefined) {
        await Promise.all([chown(folder, owner.uid, owner.gid), chown(settings, owner.uid, owner.gid)])
        await chmod(folder, 0o700)
      }
    })
    yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof spawn>>((resume) => {
        const child = spawn(binary, [settings], { ...owner, stdio: ["ignore", "ignore", "pipe"] })
        let log = ""
        child.stderr?.on("data", (chunk: Buffer) => {
          log += String(chunk)
          if (log.includes("process up")) resume(Effect.succeed(child))
        })
        child.once("error", (error) => resume(Effect.die(error)))
        child.once("exit", () => resume(Effect.die(new Error(log))))
      }),
      (child) =>
        Effect.callback<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGINT")
        })
    )
    const through = new URL(url)
    through.hostname = "127.0.0.1"
    through.port = String(port)
    return through.toString()
  })
