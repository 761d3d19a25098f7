/** Tells the results: as text, and as docs/benchmarks.md with charts. */
import * as Effect from "effect/Effect"
import { existsSync } from "node:fs"
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { barChart, told } from "./barChart.ts"
import type { Verdict } from "./Goal.ts"
import { judge } from "./Goal.ts"
import type { Contestant, Ran, Result } from "./Measurement.ts"
import type { Section } from "./page.ts"
import { chartsOf, headingOf, merged, sectionsOf, tellGoals, toPage } from "./page.ts"

/** The lowest and the highest round. */
const rangeOf = ({ values }: Result) => `${told(Math.min(...values))} to ${told(Math.max(...values))}`

const settingsOf = ({ race, size }: Ran, result: Result) => {
  const { settings, share } = race.contestants.find(({ name }) => name === result.contestant) as Contestant
  return share === undefined ? settings : `${settings}; ${told(size * share)} of them`
}

const verdicts = ({ race, results }: Ran): ReadonlyArray<Verdict> => race.goals.map((goal) => judge(goal, results))

const sentence = ({ goal, measured, reached }: Verdict) =>
  `${reached ? "reached" : "NOT reached"}: ${goal}: measured ${told(measured)}`

const figureNames = ({ results }: Ran) => [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))]

const figureOf = ({ figures }: Result, name: string) => {
  const value = figures[name]
  return value === undefined ? "" : told(value)
}

export const asText = (runs: ReadonlyArray<Ran>): string =>
  runs.map((ran) => {
    const width = Math.max(...ran.results.map(({ contestant }) => contestant.length))
    return [
      `${ran.race.name} (${told(ran.size)})`,
      ...ran.results.flatMap((result) => [
        `  ${result.contestant.padEnd(width)} ${told(result.median).padStart(9)} ${ran.race.unit}  (${
          rangeOf(result)
        })  ` +
        `ours ${result.ratio.toFixed(2)} times`,
        `  ${" ".repeat(width)} ${
          figureNames(ran).filter((name) => result.figures[name] !== undefined)
            .map((name) => `${name} ${figureOf(result, name)}`).join(", ")
        }`,
        `  ${" ".repeat(width)} ${settingsOf(ran, result)}`
      ]),
      ...verdicts(ran).map((verdict) => `  ${sentence(verdict)}`)
    ].filter((line) => line.trim() !== "").join("\n")
  }).join("\n\n")

/** The goals of all races, for the end of the output. */
export const summary = (runs: ReadonlyArray<Ran>): string =>
  tellGoals(
    runs.flatMap((ran) => verdicts(ran).map((verdict) => ({ race: ran.race.name, verdict: sentence(verdict) }))),
    "  "
  )

/** What --json writes. */
export const asJson = (runs: ReadonlyArray<Ran>) =>
  runs.map((ran) => ({
    race: ran.race.name,
    unit: ran.race.unit,
    size: ran.size,
    results: ran.results,
    goals: verdicts(ran)
  }))

const docs = fileURLToPath(new URL("../../../docs/", import.meta.url))

const section = (ran: Ran, chart: string, measured: string): Section => {
  const figures = figureNames(ran)
  const { race, results } = ran
  return {
    heading: headingOf(race.name),
    text: [
      `![${race.name}](${chart})`,
      "",
      `| ${told(ran.size)} | median ${race.unit} | rounds | ours is | ${
        figures.map((name) => `${name} | `).join("")
      }settings |`,
      `|-|-|-|-|${figures.map(() => "-|").join("")}-|`,
      ...results.map((result) =>
        `| ${result.contestant} | ${told(result.median)} | ${rangeOf(result)} | ${result.ratio.toFixed(2)} times | ${
          figures.map((name) => `${figureOf(result, name)} | `).join("")
        }${settingsOf(ran, result)} |`
      ),
      "",
      ...verdicts(ran).map((verdict) => `- ${sentence(verdict)}`),
      "",
      measured
    ].join("\n").trim()
  }
}

const chartOf = (race: string) => `charts/${race.replaceAll(/[^a-z0-9]+/gi, "-").slice(0, 60)}.svg`

const intro = `# Benchmarks

Written by \`npx --yes pnpm@12 bench --report\`; anyone can run it again. Contestants run in turn, each on a new database of one server, and
only the ratios within a run mean anything: figures of another machine, or of another hour on this one, are others. The first run of each
does not count: its code is compiled in it. A bound is no peer: it does less than the race asks for, and shows how much the server allows.
"Ours is" compares with the first line of a table.

\`bench drain\`, \`emit\`, \`latency\`, \`mixed\`, \`order\`, \`scale\`, \`consumers\`, \`event-store\` or \`retention\` runs one family of races;
\`--quick\` does less, \`--race NAME\` runs the races with this in their name only, \`--only NAME\` runs ours against those with this in their name, \`--rounds N\` more or fewer rounds, \`--json FILE\` writes all
figures, \`--profile FOLDER\` a CPU profile of each measured piece of work. All of it takes about an hour. What was not run again stays in this
report as it was: each section says when and on what it was measured, and what has the same time is of one run.

Same payload (about 350 bytes of JSON), same durability, same machine, handlers that do nothing. Ours runs as a program has it: through the
public API and Effect, with validation, retries, fences and metrics. What the peers do otherwise stands with their settings, which are the
best that their documentation offers: graphile-worker deletes what is done, where ours and the others keep it. WAL and dead row versions
are counted for the whole server and database, for each event; the processor time is that of the client's process.
A drain ends when the database knows that all is done: our processor, graphile-worker and pg-boss say so by having stopped, which is looked
after then; of the others, and of our delivery to the log, a connection asks every 5 ms.

What limits ours, and why some of the goals are not reached, stands in [Where the time goes](performance.md).
`

/** When a run began, and on what it measures. */
export interface Occasion {
  readonly at: Date
  readonly about: string
}

/** Writes the sections of these runs, and leaves those of all other races as they are. */
export const writeReport = (runs: ReadonlyArray<Ran>, { about, at }: Occasion) =>
  Effect.promise(async () => {
    const measured = `Run of ${at.toISOString().slice(0, 16).replace("T", " ")} UTC: ${about}.`
    await mkdir(`${docs}charts`, { recursive: true })
    const fresh = await Promise.all(runs.map(async (ran) => {
      const bars = ran.results.map(({ contestant, median }) => [contestant, median] as const)
      const chart = chartOf(ran.race.name)
      await writeFile(`${docs}${chart}`, barChart(ran.race.unit, bars))
      return section(ran, chart, measured)
    }))
    const page = `${docs}benchmarks.md`
    const sections = merged(existsSync(page) ? sectionsOf(await readFile(page, "utf8")) : [], fresh)
    await writeFile(page, toPage(intro, sections))
    const shown = chartsOf(sections)
    for (const file of await readdir(`${docs}charts`)) if (!shown.has(file)) await rm(`${docs}charts/${file}`)
  })
