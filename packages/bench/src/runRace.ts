/** Runs a race: `rounds` times all contestants in turn, each on a new database of the server, after one round that does not count. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { randomBytes } from "node:crypto"
import type { Contestant, Race, Result } from "./Measurement.ts"
import { toResults } from "./Measurement.ts"

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

export const runRace = Effect.fnUntraced(function*(
  race: Race,
  serverUrl: string,
  options: { readonly rounds: number; readonly quick: boolean; readonly progress: (line: string) => void }
) {
  const size = options.quick ? race.quickSize : race.size
  const rates: Array<Array<number>> = race.contestants.map(() => [])
  // In the first of them the code of each is still being compiled.
  for (let round = 0; round <= options.rounds; round++) {
    for (const [index, contestant] of race.contestants.entries()) {
      const rate = yield* once(contestant, serverUrl, size)
      if (round > 0) rates[index]?.push(rate)
      const which = round === 0 ? "warming up" : `round ${round} of ${options.rounds}`
      options.progress(`${race.name}, ${which}: ${contestant.name} ${Math.round(rate)} ${race.unit}`)
    }
  }
  return toResults(race, rates) as ReadonlyArray<Result>
})

const once = (contestant: Contestant, serverUrl: string, size: number) =>
  withDatabase(serverUrl, (url) => Effect.scoped(contestant.run(url, size)))

/** Runs `self` and gives how many of `count` it did in a second. */
export const rateOf = <E, R>(count: number, self: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.map(Effect.timed(self), ([duration]) => count / Duration.toSeconds(duration))
