/** `zakops init`, and that what it writes is a program: compiled, and run from emitting to handling. */
import { assert, layer } from "@effect/vitest"
import { migrate } from "@zakops/migrations/Migrations"
import { envFile, neededPackages, workerFile } from "@zakops/cli/initFiles"
import * as Effect from "effect/Effect"
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseEnv } from "node:util"
import { runHere } from "../support/commandLine.ts"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { start } from "../support/zakops.ts"

/** A project beside this file, so that it finds the packages; gone with the scope. */
const project = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(import.meta.dirname, "init-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const read = (folder: string, name: string) => readFileSync(join(folder, name), "utf8")

const root = join(import.meta.dirname, "..", "..")

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("zakops init", (it) => {
  it.effect("writes .env and worker.ts, says what comes next, and overwrites nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* project
      writeFileSync(join(folder, "pnpm-lock.yaml"), "")
      mkdirSync(join(folder, ".git"))
      const first = yield* runHere(["init", "--dir", folder])
      assert.strictEqual(first.code, 0, first.problem)
      assert.match(first.stdout, /^wrote \.env\nwrote worker\.ts\n\nNext, in that folder:\n {2}1\. put the address /)
      assert.match(first.stdout, /add \.env to \.gitignore/)
      assert.match(first.stdout, /pnpm add effect /)
      assert.match(first.stdout, /\. npx zakops migrate\n/)
      assert.strictEqual(statSync(join(folder, ".env")).mode & 0o777, 0o600)
      assert.strictEqual(read(folder, "worker.ts"), workerFile("worker.ts"))

      writeFileSync(join(folder, "worker.ts"), "mine")
      rmSync(join(folder, ".env"))
      const second = yield* runHere(["init", "--dir", folder])
      assert.deepInclude(second, { code: 1, problem: "zakops: worker.ts is there already: nothing was written" })
      assert.strictEqual(read(folder, "worker.ts"), "mine")
      assert.isFalse(existsSync(join(folder, ".env")))
      assert.strictEqual((yield* runHere(["init", "--dir", join(folder, "nowhere")])).code, 4)
    })))

  it.effect("keeps the .env of a project that has one, and writes a module where .ts would not be one", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* project
      writeFileSync(join(folder, ".env"), "MINE=1\n")
      writeFileSync(join(folder, "package.json"), `{ "type": "commonjs" }`)
      const { code, stdout } = yield* runHere(["init", "--dir", folder])
      assert.strictEqual(code, 0)
      assert.match(stdout, /^wrote worker\.mts\n\nNext, in that folder:\n {2}1\. add DATABASE_URL, /)
      assert.match(stdout, /node --env-file=\.env worker\.mts greet Ann/)
      assert.strictEqual(read(folder, ".env"), "MINE=1\n")
      assert.include(read(folder, "worker.mts"), "node --env-file=.env worker.mts")
    })))

  it.effect("writes a .env that zakops itself reads, where the process sets nothing else", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* project
      const url = yield* TestDatabase.DatabaseUrl
      const zakops = (variables: Record<string, string>, command = "migrate --dry-run") =>
        Effect.gen(function*() {
          const { ended, output } = yield* start(command, variables, folder)
          return { code: yield* ended, ...output }
        })
      yield* runHere(["init", "--dir", folder], { DATABASE_URL: url })
      assert.deepInclude(yield* zakops({}), { code: 0, stderr: "" })
      const set = yield* zakops({ DATABASE_URL: "postgres://u:p@127.0.0.1:1/d" })
      assert.match(set.stderr, /^zakops: cannot reach the database at 127\.0\.0\.1:1\/d: /)
      rmSync(join(folder, ".env"))
      mkdirSync(join(folder, ".env"))
      // What fills a database takes none that only lies about.
      const bench = yield* zakops({}, "bench no-such-suite")
      assert.match(bench.stderr, /zakops: bench has ended with exit code 2\n$/)
      assert.strictEqual(bench.code, 2)
      const race = yield* zakops({}, "bench --race no-such-race")
      assert.strictEqual(race.code, 2)
      assert.match(race.stderr, /no race has no-such-race in its name/)
      const broken = yield* zakops({})
      assert.strictEqual(broken.code, 2)
      assert.match(broken.stderr, /^zakops: cannot read \.env: [^\n]+\n$/)
    })))

  it.effect("writes the database's address as node reads it, whatever stands in it", () =>
    Effect.sync(() => {
      for (const url of ["postgres://u:p@h/d", "postgres://u:p#a b@h/d", `postgres://u:"x"@h/d?sslmode=require`]) {
        assert.strictEqual(parseEnv(envFile(url))["DATABASE_URL"], url)
      }
      const documented = readFileSync(join(root, ".env.example"), "utf8")
      for (const [, name] of envFile("").matchAll(/^#? ?([A-Z_]+)=/gm)) assert.include(documented, `${name}=`)
    }))

  it.effect("names every package that worker.ts imports", () =>
    Effect.sync(() => {
      const imported = [...workerFile("worker.ts").matchAll(/from "((?:@[\w-]+\/)?[\w-]+)/g)].map(([, name = ""]) =>
        name
      )
        .filter((name) => name !== "node")
      const needed: ReadonlyArray<string> = neededPackages
      assert.deepStrictEqual(imported.filter((name) => !needed.includes(name)), [])
      assert.isAbove(imported.length, 5)
    }))

  it.effect("writes a program that compiles, emits an event, delivers it and handles it", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* project
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      const written = yield* runHere(["init", "--dir", folder], { DATABASE_URL })
      assert.strictEqual(written.code, 0, written.problem)
      writeFileSync(
        join(folder, "tsconfig.json"),
        JSON.stringify({
          extends: "../../../tsconfig.base.json",
          compilerOptions: { noEmit: true, composite: false, declaration: false, declarationMap: false },
          include: ["worker.ts"]
        })
      )
      execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], { stdio: "pipe" })

      yield* migrate
      const run = (...args: ReadonlyArray<string>) =>
        Effect.map(
          Effect.acquireRelease(
            Effect.sync(() =>
              spawn(process.execPath, ["--env-file=.env", "worker.ts", ...args], {
                cwd: folder,
                env: { PATH: process.env["PATH"] },
                stdio: ["ignore", "pipe", "pipe"]
              })
            ),
            (child) => Effect.sync(() => child.kill("SIGKILL"))
          ),
          (child) => {
            const output = { text: "" }
            for (const stream of [child.stdout, child.stderr]) {
              stream.on("data", (chunk: Buffer) => output.text += chunk.toString())
            }
            const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
            return { child, output, ended }
          }
        )
      const worker = yield* run()
      const emitter = yield* run("greet", "Ann")
      assert.strictEqual(yield* Effect.promise(() => emitter.ended), 0, emitter.output.text)
      assert.match(emitter.output.text, /emitted [0-9a-f-]{36}/)
      yield* eventually(Effect.sync(() => worker.output.text.includes("hello Ann")))
      worker.child.kill("SIGTERM")
      assert.strictEqual(yield* Effect.promise(() => worker.ended), 130, worker.output.text)
    })))
})
