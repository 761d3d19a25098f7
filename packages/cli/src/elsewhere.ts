/**
 * `zakops demo` and `zakops bench`, and the sources of the console: they belong to the repository, with its embedded Postgres, its worked example and the peers that it is
 * measured against, none of which a program that uses the outbox should install. In a checkout they are run; elsewhere they say where to
 * find them.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { StdioOptions } from "node:child_process"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import { untilTold } from "./exitCodes.ts"
import { Problem, tellProblems } from "./Problem.ts"

/** Runs a script with this terminal to its end, and gives its exit code. It is told to stop with us, and waited for. */
const runScript = (script: string, args: ReadonlyArray<string>, stdio: StdioOptions = "inherit") =>
  Effect.callback<number>((resume) => {
    const child = spawn(process.execPath, [script, ...args], { stdio })
    child.once("error", () => resume(Effect.succeed(1)))
    child.once("close", (code, signal) => resume(Effect.succeed(code ?? 128 + constants.signals[signal ?? "SIGTERM"])))
    return Effect.callback<void>((ended) => {
      if (child.exitCode !== null || child.signalCode !== null) return ended(Effect.void)
      child.once("close", () => ended(Effect.void))
      child.kill("SIGTERM")
    })
  })

const inCheckout = (name: string, script: string, args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const path = join(import.meta.dirname, "..", "..", script)
    if (!existsSync(path)) {
      return yield* new Problem({
        line: `${name} is part of the repository of ZakOps Outbox, and not of this package: in a checkout, run ` +
          `"npx --yes pnpm@12 ${name}". It needs Node 20 or later and nothing else`
      })
    }
    const code = yield* untilTold(runScript(path, args))
    if (code !== 0) return yield* new Problem({ line: `${name} has ended with exit code ${code}`, code })
  }).pipe(tellProblems(""))

/**
 * The web console comes built with its package; in a checkout it is built when it is missing, or was built from other sources. Where that does
 * not work the API is there all the same.
 */
export const buildInCheckout = Effect.gen(function*() {
  const path = join(import.meta.dirname, "..", "..", "console/build.ts")
  if (!existsSync(path)) return
  const code = yield* runScript(path, [], ["ignore", "ignore", "inherit"])
  if (code !== 0) process.stderr.write("zakops: the console could not be built, only its API is there\n")
})

const exit = Flag.Boolean("exit").pipe(
  Flag.withDefault(false),
  Flag.withDescription("End by itself, and check that nothing was lost, doubled or delivered after a roll-back")
)

export const demo = Command.make(
  "demo",
  { exit },
  ({ exit }) => inCheckout("demo", "deal-desk/src/demo/main.ts", exit ? ["--exit"] : [])
).pipe(Command.withDescription(
  "In a checkout of the repository: an API, its workers and consumers while things go wrong, on a Postgres of its own"
))

const suite = Argument.String("suite").pipe(
  Argument.optional,
  Argument.withDescription("What to measure; everything if it is not given")
)
const quick = Flag.Boolean("quick").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Less work for each run: to see that it works")
)
const rounds = Flag.Int("rounds").pipe(Flag.optional, Flag.withDescription("How often each contestant runs"))
const size = Flag.Int("size").pipe(
  Flag.optional,
  Flag.withDescription("How much work each run is, instead of the race's own")
)
const only = Flag.String("only").pipe(
  Flag.optional,
  Flag.withDescription("Only contestants with this in their name, besides ours")
)
const race = Flag.String("race").pipe(Flag.optional, Flag.withDescription("Only races with this in their name"))
const report = Flag.Boolean("report").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Write docs/benchmarks.md, with charts")
)
const profile = Flag.String("profile").pipe(
  Flag.optional,
  Flag.withDescription("Write a .cpuprofile of each measured run into this folder")
)
const file = Flag.String("json").pipe(Flag.optional, Flag.withDescription("Write the results to this file"))

export const bench = Command.make(
  "bench",
  { suite, quick, rounds, size, race, only, profile, file, report },
  ({ file, only, profile, quick, race, report, rounds, size, suite }) =>
    inCheckout("bench", "bench/src/main.ts", [
      ...Option.toArray(suite),
      ...(quick ? ["--quick"] : []),
      ...Option.toArray(rounds).flatMap((rounds) => ["--rounds", String(rounds)]),
      ...Option.toArray(size).flatMap((size) => ["--size", String(size)]),
      ...Option.toArray(race).flatMap((race) => ["--race", race]),
      ...Option.toArray(profile).flatMap((folder) => ["--profile", folder]),
      ...(report ? ["--report"] : []),
      ...Option.toArray(only).flatMap((only) => ["--only", only]),
      ...Option.toArray(file).flatMap((file) => ["--json", file])
    ])
).pipe(Command.withDescription(
  "In a checkout of the repository: ours and its peers measured side by side, on a Postgres of its own"
))
