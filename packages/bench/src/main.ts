/**
 * `bench [suite] [--quick] [--rounds N] [--json FILE] [--report]`: measures ours and its peers side by side, in one run, on an embedded
 * Postgres 18 or the server of DATABASE_URL.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { start } from "@zakops/deal-desk/EmbeddedPostgres"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { writeFile } from "node:fs/promises"
import packageJson from "../package.json" with { type: "json" }
import { eventStoreRaces } from "./eventStoreRaces.ts"
import type { Race } from "./Measurement.ts"
import { asText, environment, writeReport } from "./report.ts"
import { retentionRaces } from "./retentionRaces.ts"
import { runRace } from "./runRace.ts"

const suites: { readonly [suite: string]: ReadonlyArray<Race> } = {
  "event-store": eventStoreRaces,
  retention: retentionRaces
}

const suite = Argument.Literals("suite", ["all", ...Object.keys(suites)]).pipe(
  Argument.withDefault("all"),
  Argument.withDescription("What to measure")
)
const quick = Flag.Boolean("quick").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Less work for each run: to see that it works")
)
const rounds = Flag.Int("rounds").pipe(Flag.withDefault(3), Flag.withDescription("How often each contestant runs"))
const json = Flag.String("json").pipe(Flag.optional, Flag.withDescription("Write the results to this file"))
const report = Flag.Boolean("report").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Write docs/benchmarks.md, with charts")
)

/** Enough memory that the work fits, and no checkpoint in the middle of a run; fsync and synchronous_commit stay on. */
const serverSettings = { shared_buffers: "1GB", max_wal_size: "8GB" }

const run = ({ json, quick, report, rounds, suite }: {
  readonly json: Option.Option<string>
  readonly quick: boolean
  readonly report: boolean
  readonly rounds: number
  readonly suite: string
}) =>
  Effect.scoped(Effect.gen(function*() {
    const given = yield* Effect.orDie(Config.option(Config.String("DATABASE_URL")))
    const url = Option.isSome(given) ? given.value : yield* start(serverSettings)
    const races = suite === "all" ? Object.values(suites).flat() : suites[suite] ?? []
    // On stderr, so that the results alone are the output.
    const progress = (line: string) => void process.stderr.write(`${line}\n`)
    const results = yield* Effect.forEach(races, (race) => runRace(race, url, { rounds, quick, progress }))
    const about = yield* environment(url, Option.isNone(given))
    yield* Console.log(asText(races, results))
    const everything = { about, quick, rounds, results: results.flat() }
    if (Option.isSome(json)) {
      yield* Effect.promise(() => writeFile(json.value, `${JSON.stringify(everything, undefined, 2)}\n`))
    }
    if (report) yield* writeReport(races, results, about)
  }))

Command.run(
  Command.make("bench", { suite, quick, rounds, json, report }, run).pipe(
    Command.withDescription("Measure ours and its peers side by side")
  ),
  { version: packageJson.version }
).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
