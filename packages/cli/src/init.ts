/** `zakops init`: writes .env and a first worker into a project. It overwrites nothing. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { existsSync, readFileSync, statSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { envFile, neededPackages, workerFile } from "./initFiles.ts"
import { absent, misuse, Problem, tellProblems } from "./Problem.ts"
import { harmless } from "./table.ts"

const dir = Flag.String("dir").pipe(
  Flag.withDefault("."),
  Flag.withDescription("The project's folder; this one if it is not given")
)

const placeholder = "postgres://user:password@localhost:5432/database"

/** Node takes a .ts file for what package.json says, and a worker imports. */
const workerNameIn = (folder: string) => {
  try {
    const { type } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    return type === "module" ? "worker.ts" : "worker.mts"
  } catch {
    // There is none yet, or none that could be read.
    return "worker.ts"
  }
}

/** By which package manager's file lies there. */
const installer = (folder: string) =>
  existsSync(join(folder, "pnpm-lock.yaml"))
    ? "pnpm add"
    : existsSync(join(folder, "yarn.lock"))
    ? "yarn add"
    : "npm install"

/** Whether git would take .env along. */
const wouldBeCommitted = (folder: string) => {
  if (!existsSync(join(folder, ".git"))) return false
  const ignored = join(folder, ".gitignore")
  return !existsSync(ignored) || !/^\/?\.env\*?$/m.test(readFileSync(ignored, "utf8"))
}

/** Fails where the file is there, also where somebody else has made it meanwhile. */
const create = (path: string, name: string, content: string, mode: number) =>
  Effect.tryPromise({
    try: () => writeFile(path, content, { flag: "wx", mode }),
    catch: (cause) =>
      new Problem({
        line: (cause as NodeJS.ErrnoException).code === "EEXIST"
          ? `${name} is there already: nothing is overwritten`
          : `cannot write ${name}: ${harmless(String((cause as Error).message))}`,
        cause
      })
  })

const run = Effect.fnUntraced(function*({ dir }: { readonly dir: string }) {
  const isFolder = yield* Effect.orElseSucceed(Effect.try(() => statSync(dir).isDirectory()), () => false)
  if (!isFolder) return yield* absent(`there is no folder ${JSON.stringify(dir.slice(0, 200))}`)
  const url = yield* Effect.orDie(Config.String("DATABASE_URL").pipe(Config.withDefault("")))
  if (/[\r\n]/.test(url)) return yield* misuse("DATABASE_URL has more than one line")
  const worker = workerNameIn(dir)
  // A project that has variables of its own keeps them.
  const hasVariables = existsSync(join(dir, ".env"))
  const files: ReadonlyArray<readonly [string, string, number]> = [
    ...(hasVariables ? [] : [[".env", envFile(url === "" ? placeholder : url), 0o600] as const]),
    [worker, workerFile(worker), 0o644]
  ]
  if (existsSync(join(dir, worker))) {
    return yield* new Problem({ line: `${worker} is there already: nothing was written` })
  }
  for (const [name, content, mode] of files) {
    yield* create(join(dir, name), name, content, mode)
    yield* Console.log(`wrote ${name}`)
  }
  const steps = [
    ...(hasVariables
      ? ["add DATABASE_URL, the address of your Postgres, to .env if it is not in it"]
      : url === ""
      ? ["put the address of your Postgres into .env"]
      : []),
    ...(wouldBeCommitted(dir) ? ["add .env to .gitignore: it holds a password"] : []),
    `${installer(dir)} ${neededPackages.join(" ")}`,
    "npx zakops migrate",
    `node --env-file=.env ${worker}`,
    `node --env-file=.env ${worker} greet Ann     (in another terminal)`
  ]
  yield* Console.log(`\nNext, in that folder:\n${steps.map((step, n) => `  ${n + 1}. ${step}`).join("\n")}`)
}, tellProblems(""))

export const command = Command.make("init", { dir }, run).pipe(
  Command.withDescription("Write .env and a first worker, worker.ts, into a project. Overwrites nothing")
)
