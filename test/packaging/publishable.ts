/**
 * Packs every public package as it would be published, and uses the result: each entry point imported by plain Node from dist, a small
 * program type-checked against the declarations, the command run. Run by `pnpm build`.
 */
import { execFileSync } from "node:child_process"
import {
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
  "packages/cli"
]

const folder = mkdtempSync(join(tmpdir(), "zakops-packed-"))
const modules = join(folder, "node_modules")

/** A dependency from outside the workspace, as this workspace has it installed. */
const link = (name: string) => {
  const target = join(modules, name)
  mkdirSync(dirname(target), { recursive: true })
  symlinkSync(realpathSync(join(root, "packages/cli/node_modules", name)), target)
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
    if (manifest.name === "@zakops/cli") continue
    for (const file of dist.filter((file) => file.endsWith(".js"))) {
      const module = file.slice(0, -".js".length)
      entryPoints.push(module === "index" ? manifest.name : `${manifest.name}/${module}`)
    }
  }
  for (const name of ["effect", "@effect/sql-pg", "@effect/platform-node"]) link(name)
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

  const version = run(process.execPath, [join(modules, "@zakops/cli/dist/main.js"), "--version"])
  check(version.includes("0.1.0"), `zakops --version prints ${JSON.stringify(version)}`)
  process.stdout.write(`${published.length} packages are publishable: ${entryPoints.length} entry points imported\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
