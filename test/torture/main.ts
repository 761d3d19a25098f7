/**
 * Torture: kills workers, database, connections and calls while events flow, and checks the books afterwards. Exit code 0 only if every
 * check holds.
 *
 * `--seconds N`, `--seed S`, `--profile quick|full`; `--selftest` takes guarantees out of the product and wants the checks to fail;
 * `--logs FOLDER` keeps the logs of the processes.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { mkdirSync } from "node:fs"
import { parseArgs } from "node:util"
import { tell as tellProblems } from "./checks.ts"
import { inWords, isHeld } from "./figures.ts"
import { mutations } from "./mutations.ts"
import type { Report } from "./run.ts"
import { torture } from "./run.ts"
import type { Options, Profile } from "./settings.ts"
import { leastSeconds } from "./storm.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    seed: { type: "string" },
    profile: { type: "string", default: "full" },
    selftest: { type: "boolean", default: false },
    mutation: { type: "string" },
    logs: { type: "string" }
  }
})

const print = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const refuse = (line: string): never => {
  process.stderr.write(`torture: ${line}\n`)
  process.exit(2)
}

const toOptions = (): Options => {
  const { logs, mutation } = values
  const profile: Profile = values.selftest || values.profile === "quick"
    ? "quick"
    : values.profile === "full"
    ? "full"
    : refuse(`--profile is ${values.profile}: allowed are quick and full`)
  const seconds = Number(values.seconds ?? (profile === "full" ? 300 : values.selftest ? 60 : 40))
  const least = leastSeconds(profile)
  if (!(seconds >= least)) {
    refuse(`--seconds has to be at least ${least}, or not every fault of profile ${profile} finds room`)
  }
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
  if (!Number.isInteger(seed)) refuse("--seed has to be a whole number")
  if (mutation !== undefined && mutations[mutation] === undefined) refuse(`there is no mutation ${mutation}`)
  if (logs !== undefined) mkdirSync(logs, { recursive: true })
  return { profile, seconds, seed, mutation, logs }
}

const section = (title: string, record: Iterable<readonly [string, number]>) =>
  Effect.andThen(
    print(title),
    Effect.forEach(record, ([name, count]) => print(`  ${count} ${name}`), { discard: true })
  )

const show = ({ checks, counts, faults, figures }: Report) =>
  Effect.gen(function*() {
    yield* section("\nTraffic", Object.entries(counts))
    yield* section("Faults", faults)
    yield* print("Figures")
    for (const figure of figures) yield* print(`  ${isHeld(figure) ? "held" : "NOT HELD"}  ${inWords(figure)}`)
    yield* print("Checks")
    for (const { name, problems } of checks) {
      yield* print(`  ${problems.length === 0 ? "holds" : "FAILS"}  ${name}${tellProblems(problems)}`)
    }
  })

const started = Date.now()
const tell = (line: string) => print(`${((Date.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`)

const failed = ({ checks }: Report) => checks.filter(({ problems }) => problems.length > 0)

const once = Effect.gen(function*() {
  const options = toOptions()
  yield* print(`torture --profile ${options.profile} --seconds ${options.seconds} --seed ${options.seed}`)
  const report = yield* torture(options, tell)
  yield* show(report)
  return failed(report).length === 0 && report.figures.every(isHeld)
})

/** Each mutation has to be noticed by a check of the books, not only by a count of faults. */
const selftest = Effect.gen(function*() {
  const options = toOptions()
  let noticed = true
  for (const [mutation, { noticedBy }] of Object.entries(mutations)) {
    yield* tell(`without the ${mutation}`)
    const failures = failed(yield* torture({ ...options, mutation }, tell))
    const itWas = failures.some(({ name }) => name === noticedBy)
    yield* print(
      `${itWas ? "noticed" : `NOT NOTICED by "${noticedBy}"`}: the ${mutation} was taken out${
        failures.map(({ name, problems }) => `\n  ${name}:${tellProblems(problems)}`).join("")
      }`
    )
    noticed &&= itWas
  }
  return noticed
})

const main = values.selftest ? selftest : once

main.pipe(
  Effect.flatMap((well) =>
    Effect.sync(() => {
      process.exitCode = well ? 0 : 1
    })
  ),
  NodeRuntime.runMain
)
