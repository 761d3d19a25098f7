/** Runs a race: `rounds` times all contestants in turn, each on a new database of the server, after one round that does not count. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { randomBytes } from "node:crypto"
import { casualties } from "./measure.ts"
import type { Contestant, Race, Ran, Sample } from "./Measurement.ts"
import { toResults } from "./Measurement.ts"
import type { Progress } from "./progress.ts"

const withDatabase = <A, E, R>(serverUrl: string, use: (url: string) => Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const name = `zakops_bench_${randomBytes(4).toString("hex")}`
    const url = new URL(serverUrl)
    url.pathname = `/${name}`
    const admin = <B, E2>(self: Effect.Effect<B, E2, SqlClient>) =>
      Effect.provide(self, PgClient.layer({ url: Redacted.make(serverUrl), maxConnections: 1 }))
    return yield* Effect.acquireUseRelease(
      admin(Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* sql`CREATE DATABASE ${sql(name)}`
        // Nobody pays for the pages that the one before has dirtied.
        yield* sql`CHECKPOINT`
      })),
      () => use(url.toString()),
      () => Effect.orDie(admin(Effect.flatMap(SqlClient, (sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`)))
    )
  })

export interface RunOptions {
  readonly rounds: number
  readonly quick: boolean
  readonly progress: Progress
}

/** How many runs these races are. */
export const runsOf = (races: ReadonlyArray<Race>, rounds: number): number =>
  races.flatMap(({ contestants }) => contestants).length * (rounds + 1)

export const runRace = Effect.fnUntraced(function*(race: Race, serverUrl: string, options: RunOptions) {
  const size = options.quick ? race.quickSize : race.size
  const samples: Array<Array<Sample>> = race.contestants.map(() => [])
  // In the first of them the code of each is still being compiled.
  for (let round = 0; round <= options.rounds; round++) {
    const which = round === 0 ? "warming up" : `round ${round} of ${options.rounds}`
    for (const [index, contestant] of race.contestants.entries()) {
      options.progress.now(`${race.name}, ${which}: ${contestant.name} ...`)
      const sample = yield* once(contestant, serverUrl, round === 0 ? warmUp(race, size) : size)
      if (round > 0) samples[index]?.push(sample)
      options.progress.done(`${race.name}, ${which}: ${contestant.name} ${told(sample.value)} ${race.unit}`)
    }
  }
  return { race, size, results: toResults(race, samples) } satisfies Ran
})

/** Compiling needs no more work than this. */
const warmUp = (race: Race, size: number) => Math.min(size, race.quickSize)

const told = (value: number) => value < 100 ? value.toPrecision(3) : Math.round(value).toLocaleString("en")

const once = ({ run, share = 1 }: Contestant, serverUrl: string, size: number) =>
  withDatabase(serverUrl, (url) =>
    Effect.gen(function*() {
      const given = yield* Effect.scoped(run(url, Math.round(size * share)))
      const sample: Sample = typeof given === "number" ? { value: given } : given
      if (sample.count === undefined) return sample
      return { ...sample, figures: { ...sample.figures, ...yield* casualties(url, sample.count) } }
    }))
