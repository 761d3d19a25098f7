/** Tells the results: as text, and as docs/benchmarks.md with charts. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { mkdir, writeFile } from "node:fs/promises"
import { arch, cpus, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { barChart } from "./barChart.ts"
import type { Race, Result } from "./Measurement.ts"

const whole = (rate: number) => Math.round(rate).toLocaleString("en")

/** The lowest and the highest round. */
const rangeOf = ({ rates }: Result) => `${whole(Math.min(...rates))} to ${whole(Math.max(...rates))}`

const verdict = (race: Race, results: ReadonlyArray<Result>) => {
  const worst = Math.min(...results.slice(1).filter(({ bound }) => !bound).map(({ ratio }) => ratio))
  if (race.goal === 0) return `not set: measured ${worst.toFixed(2)} times the peer`
  return `${worst >= race.goal ? "reached" : "missed"}: goal ${race.goal} times the peer, measured ${
    worst.toFixed(2)
  } times`
}

export const asText = (races: ReadonlyArray<Race>, results: ReadonlyArray<ReadonlyArray<Result>>): string =>
  races.map((race, index) => {
    const own = results[index] ?? []
    return [
      race.name,
      ...own.map((result) =>
        `  ${result.contestant.padEnd(12)} ${whole(result.median).padStart(9)} ${race.unit}  (${rangeOf(result)})  ` +
        `ours ${result.ratio.toFixed(2)} times  ${result.settings}`
      ),
      `  ${verdict(race, own)}`
    ].join("\n")
  }).join("\n\n")

/** On what it was measured. */
export const environment = (url: string, embedded: boolean) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [server] = yield* sql<{ version: string; settings: string }>`
      SELECT current_setting('server_version') AS version,
        (SELECT string_agg(name || ' ' || setting || coalesce(unit, ''), ', ' ORDER BY name) FROM pg_settings
          WHERE name IN ('fsync', 'synchronous_commit', 'shared_buffers', 'max_wal_size')) AS settings`
    const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
    return `Postgres ${server?.version}${
      embedded ? ", embedded" : ""
    } (${server?.settings}), Node ${process.versions.node}, ` +
      `${cpus().length} cores (${arch()}) and ${memory} of memory, shared by server and client`
  }).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })), Effect.orDie)

const docs = fileURLToPath(new URL("../../../docs/", import.meta.url))

const section = (race: Race, results: ReadonlyArray<Result>, chart: string) =>
  [
    `## ${race.name[0]?.toUpperCase()}${race.name.slice(1)}`,
    "",
    `![${race.name}](${chart})`,
    "",
    `| | median ${race.unit} | rounds | ours is | settings |`,
    "|-|-|-|-|-|",
    ...results.map((result) =>
      `| ${result.contestant} | ${whole(result.median)} | ${rangeOf(result)} | ${
        result.ratio.toFixed(2)
      } times | ${result.settings} |`
    ),
    "",
    `Goal ${verdict(race, results)}.`
  ].join("\n")

export const writeReport = (
  races: ReadonlyArray<Race>,
  results: ReadonlyArray<ReadonlyArray<Result>>,
  about: string
) =>
  Effect.promise(async () => {
    await mkdir(`${docs}charts`, { recursive: true })
    const sections = await Promise.all(races.map(async (race, index) => {
      const own = results[index] ?? []
      const chart = `charts/${race.name.replaceAll(/[^a-z0-9]+/gi, "-").slice(0, 60)}.svg`
      await writeFile(`${docs}${chart}`, barChart(race.unit, own.map(({ contestant, median }) => [contestant, median])))
      return section(race, own, chart)
    }))
    await writeFile(
      `${docs}benchmarks.md`,
      [
        "# Benchmarks",
        "",
        "Written by `npx --yes pnpm@12 bench --report`; anyone can run it again. Contestants run in turn, each on a new database of one server, and",
        "only the ratios within a run mean anything: figures of another machine, or of another hour on this one, are others. The first run of each",
        "does not count: its code is compiled in it. A bound is no peer: it does less than the race asks for, and shows how much the server allows.",
        "",
        `Measured on ${about}.`,
        "",
        sections.join("\n\n"),
        ""
      ].join("\n")
    )
  })
