/**
 * `bench [suite] [--race NAME] [--quick] [--rounds N] [--size N] [--json FILE] [--report]`: measures ours and its peers side by side, in one run, on an embedded
 * Postgres 18 or the server of DATABASE_URL.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { defaultTeardown } from "effect/Runtime"
import { writeFile } from "node:fs/promises"
import packageJson from "../package.json" with { type: "json" }
import type { Race, Ran } from "./Measurement.ts"
import { narrowed } from "./Measurement.ts"
import { makeProgress } from "./progress.ts"
import { ProfileFolder } from "./profile.ts"
import { asJson, asText, summary, writeReport } from "./report.ts"
import { runRace, runsOf } from "./runRace.ts"
import { environment, server } from "./server.ts"
import { suites } from "./suites.ts"

const suite = Argument.Literals("suite", ["all", ...Object.keys(suites)]).pipe(
  Argument.withDefault("all"),
  Argument.withDescription("What to measure")
)
const quick = Flag.Boolean("quick").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Less work for each run: to see that it works")
)
const rounds = Flag.Int("rounds").pipe(
  Flag.withDefault(3),
  Flag.withDescription("How often each contestant runs, besides a first time that does not count")
)
const size = Flag.Int("size").pipe(
  Flag.optional,
  Flag.withDescription(
    "How much work each run is, instead of the race's own: 10000000 entries in the table of a race of `scale`, say"
  )
)
const only = Flag.String("only").pipe(
  Flag.optional,
  Flag.withDescription("Only contestants with this in their name, besides ours: goals that name others are left out")
)
const race = Flag.String("race").pipe(
  Flag.optional,
  Flag.withDescription("Only races with this in their name")
)
const profile = Flag.String("profile").pipe(
  Flag.optional,
  Flag.withDescription("Write a .cpuprofile of each measured run into this folder; it slows them down")
)
const json = Flag.String("json").pipe(Flag.optional, Flag.withDescription("Write the results to this file"))
const report = Flag.Boolean("report").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Write the sections of these races in docs/benchmarks.md, with charts")
)

const misuse = (userMessage: string) => new CliError.UserError({ cause: userMessage, userMessage })

const run = ({ json, only, profile, quick, race, report, rounds, size, suite }: {
  readonly json: Option.Option<string>
  readonly only: Option.Option<string>
  readonly profile: Option.Option<string>
  readonly quick: boolean
  readonly race: Option.Option<string>
  readonly report: boolean
  readonly rounds: number
  readonly size: Option.Option<number>
  readonly suite: string
}) =>
  Effect.scoped(Effect.gen(function*() {
    if (report && (quick || Option.isSome(only) || Option.isSome(profile) || Option.isSome(size))) {
      return yield* misuse("--report tells whole races: not with --quick, --only, --size or --profile")
    }
    const all = (suite === "all" ? Object.values(suites).flat() : suites[suite] ?? []).filter(({ name }) =>
      name.includes(Option.getOrElse(race, () => ""))
    )
    if (all.length === 0) return yield* misuse(`no race has ${Option.getOrElse(race, () => "")} in its name`)
    const measuredOn = yield* server
    const races = Option.match(only, { onNone: () => all, onSome: (name) => all.map((race) => narrowed(race, name)) })
    const resized = (race: Race) => Option.match(size, { onNone: () => race, onSome: (size) => ({ ...race, size }) })
    const about = yield* environment(measuredOn)
    const at = new Date(yield* Clock.currentTimeMillis)
    // On stderr, so that the results alone are the output.
    process.stderr.write(`${about}\n`)
    const progress = makeProgress(runsOf(races, rounds))
    const runs: Array<Ran> = []
    yield* Effect.forEach(races, (race) =>
      Effect.gen(function*() {
        runs.push(yield* runRace(resized(race), measuredOn.url, { rounds, quick, progress }))
        // What has been measured by now, also where a later race fails.
        if (report) yield* writeReport(runs, { about, at })
      }), { discard: true }).pipe(
        Effect.provideService(ProfileFolder, Option.getOrUndefined(profile))
      )
    progress.end()
    yield* Console.log(`${asText(runs)}\n\n${summary(runs)}`)
    if (Option.isSome(json)) {
      const everything = { about, quick, rounds, races: asJson(runs) }
      yield* Effect.promise(() => writeFile(json.value, `${JSON.stringify(everything, undefined, 2)}\n`))
    }
  }))

const isMisuse = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) && CliError.isCliError(Cause.squash(exit.cause))

Command.run(
  Command.make("bench", { suite, quick, rounds, size, race, only, profile, json, report }, run).pipe(
    Command.withDescription("Measure ours and its peers side by side")
  ),
  { version: packageJson.version }
).pipe(
  Effect.provide(NodeServices.layer),
  // What is wrong with the command line ends with 2, as of `zakops`; effect/cli says 1.
  NodeRuntime.runMain({
    teardown: (exit, onExit) => defaultTeardown(exit, (code) => onExit(code === 1 && isMisuse(exit) ? 2 : code))
  })
)
