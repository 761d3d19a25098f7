/**
 * Packs every public package as it would be published, and uses the result: each entry point imported by plain Node from dist, a small
 * program type-checked against the declarations, the command run. Run by `pnpm build`.
 */
import { execFileSync, spawnSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const root = join(import.meta.dirname, "..", "..")
const published = [
  "migrations",
  "packages/events",
  "packages/outbox",
  "packages/inbox",
  "packages/event-store",
  "packages/cluster",
  "packages/nats",
  "packages/rabbitmq",
  "packages/webhook",
  "packages/redis",
  "packages/kafka",
  "packages/admin",
  "packages/telemetry",
  "packages/cli"
]

const folder = mkdtempSync(join(tmpdir(), "zakops-packed-"))
const modules = join(folder, "node_modules")

/** A dependency from outside the workspace, as this workspace has it installed. */
const link = (name: string, from = "packages/cli") => {
  const target = join(modules, name)
  mkdirSync(dirname(target), { recursive: true })
  symlinkSync(realpathSync(join(root, from, "node_modules", name)), target)
}

const run = (command: string, args: ReadonlyArray<string>, cwd = folder) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })

const check = (holds: boolean, what: string) => {
  if (!holds) throw new Error(`not publishable: ${what}`)
}

interface Manifest {
  readonly name: string
  readonly bin?: Record<string, string>
  readonly exports: Record<string, unknown>
  readonly dependencies?: Record<string, string>
}

try {
  const entryPoints: Array<string> = []
  for (const source of published) {
    const packed = run("pnpm", ["pack", "--pack-destination", folder], join(root, source))
    const archive = packed.trim().split("\n").findLast((line) => line.endsWith(".tgz")) ?? ""
    const unpacked = mkdtempSync(join(folder, "unpacked-"))
    run("tar", ["-xzf", archive.startsWith("/") ? archive : join(folder, archive), "-C", unpacked])
    const home = join(unpacked, "package")
    const manifest: Manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8"))
    check(!JSON.stringify(manifest.exports).includes("src/"), `${manifest.name} exports its sources`)
    check(
      !Object.values(manifest.dependencies ?? {}).some((version) => version.startsWith("workspace:")),
      `${manifest.name} depends on the workspace`
    )
    // Moved rather than linked: Node looks for dependencies from where a file really is.
    mkdirSync(dirname(join(modules, manifest.name)), { recursive: true })
    run("mv", [home, join(modules, manifest.name)])
    const dist = readdirSync(join(modules, manifest.name, "dist"))
    check(!dist.includes(".tsbuildinfo"), `${manifest.name} ships its build state`)
    if (manifest.name === "@zakops/admin") {
      const shipped = join(modules, manifest.name, "dist", "console")
      check(existsSync(join(shipped, "index.html")), "@zakops/admin comes without the console")
      check(existsSync(join(shipped, "licences.txt")), "the console comes without the licences of what is in it")
      const licences = readFileSync(join(shipped, "licences.txt"), "utf8")
      const notice = readFileSync(join(modules, manifest.name, "NOTICE"), "utf8")
      for (const [, name = "", licence = ""] of licences.matchAll(/^(\S+) \S+ \(([^)]+)\)$/gm)) {
        const line = notice.split("\n").findIndex((line) => line.toLowerCase().includes(name))
        const words = notice.split("\n").slice(line, line + 2).join(" ")
        check(line >= 0 && words.includes(licence), `NOTICE does not say that ${name} is under ${licence}`)
      }
      check(/SIL OPEN FONT LICENSE/i.test(licences), "the fonts come without their licence")
    }
    if (manifest.name === "@zakops/cli") continue
    for (const file of dist.filter((file) => file.endsWith(".js"))) {
      const module = file.slice(0, -".js".length)
      entryPoints.push(module === "index" ? manifest.name : `${manifest.name}/${module}`)
    }
  }
  for (const name of ["effect", "@effect/sql-pg", "@effect/platform-node"]) link(name)
  for (const name of ["jetstream", "nats-core", "transport-node"]) link(`@nats-io/${name}`, "packages/nats")
  link("amqplib", "packages/rabbitmq")
  link("redis", "packages/redis")
  link("@platformatic/kafka", "packages/kafka")
  symlinkSync(realpathSync(join(root, "node_modules/@types")), join(modules, "@types"))

  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`)
  writeFileSync(join(folder, "imports.js"), entryPoints.map((name) => `import "${name}"\n`).join(""))
  run(process.execPath, ["imports.js"])

  writeFileSync(
    join(folder, "program.ts"),
    `import { EventDefinition } from "@zakops/events"
import * as EventLog from "@zakops/event-store/EventLog"
import { Consumer } from "@zakops/inbox"
import { migrate } from "@zakops/migrations/Migrations"
import { Outbox, OutboxLive, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

const Made = EventDefinition.make("deal.made", { payload: Schema.Struct({ title: Schema.String }) })
export const handler = Consumer.on(Made, ({ data }) => Effect.log(data.title.toUpperCase()))
export const program = Effect.gen(function*() {
  yield* migrate
  const { transact } = yield* TransactionalPublisher
  const outbox = yield* Outbox
  const id: string = yield* transact(outbox.emit(yield* Made.make({ title: "x" }), { correlationId: "" }))
  return id
}).pipe(Effect.provide(OutboxLive.pipe(Layer.provide(EventLog.layerPublisher))))
`
  )
  run(process.execPath, [
    join(root, "node_modules/typescript/bin/tsc"),
    "--noEmit",
    "--strict",
    "--exactOptionalPropertyTypes",
    "--module",
    "NodeNext",
    "--target",
    "ES2024",
    "--types",
    "node",
    "program.ts"
  ])

  /** The command as it was packed, with nothing of our own settings. */
  const zakops = (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      [join(modules, "@zakops/cli/dist/main.js"), ...args],
      { cwd: folder, encoding: "utf8", env: { PATH: process.env["PATH"], ...env } }
    )
    return { code: status, stderr, stdout }
  }
  const version = zakops(["--version"])
  check(version.stdout.includes("0.1.0"), `zakops --version prints ${JSON.stringify(version)}`)
  const help = zakops(["--help"])
  const commands = [...help.stdout.slice(help.stdout.indexOf("SUBCOMMANDS")).matchAll(/^ {2}([a-z-]+)/gm)]
    .map(([, name = ""]) => name)
  check(commands.includes("doctor") && commands.length > 15, `zakops --help prints ${help.stdout}${help.stderr}`)
  // One by one they would take a minute: the first three, and those that bring files or other packages along.
  for (const name of new Set([...commands.slice(0, 3), "doctor", "status", "tail", "console"])) {
    const { code, stderr, stdout } = zakops([name, "--help"])
    check(code === 0 && stdout.includes(`zakops ${name}`), `zakops ${name} --help prints ${stdout}${stderr}`)
  }
  const doctor = zakops(["doctor", "--json"], { DATABASE_URL: "postgres://u:p@127.0.0.1:1/d" })
  check(doctor.code === 1 && JSON.parse(doctor.stdout)[0]?.check === "connection", JSON.stringify(doctor))
  const demo = zakops(["demo"])
  check(demo.code === 1 && demo.stderr.includes("npx --yes pnpm@12 demo"), JSON.stringify(demo))
  const init = zakops(["init"])
  check(init.code === 0 && existsSync(join(folder, "worker.ts")), JSON.stringify(init))
  process.stdout.write(`${published.length} packages are publishable: ${entryPoints.length} entry points imported\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
