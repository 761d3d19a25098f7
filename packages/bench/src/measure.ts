/** Clocks and counters around a piece of work: time, WAL, and what a run leaves behind in the tables. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Client } from "pg"
import type { Sample } from "./Measurement.ts"
import { profiled } from "./profile.ts"

/** A plain connection for as long as the scope is open. */
export const connect = (url: string): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      // The database is dropped when all is over, under whatever connection is left.
      const client = new Client({ connectionString: url }).on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

/** Runs `self` and gives how many of `count` it did in a second. */
export const rateOf = <E, R>(count: number, self: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.map(Effect.timed(self), ([duration]) => count / Duration.toSeconds(duration))

const walPosition = (client: Client) =>
  Effect.promise(async () => {
    const { rows } = await client.query<{ position: string }>(
      "SELECT (pg_current_wal_insert_lsn() - '0/0')::text AS position"
    )
    return Number(rows[0]?.position)
  })

/**
 * Runs `self`, which does `count` events: how many in a second, and for each of them the bytes of WAL of the whole server, which does
 * nothing else meanwhile, and the microseconds of processor time of this process.
 */
export const measured = <E, R>(
  url: string,
  count: number,
  self: Effect.Effect<unknown, E, R>
): Effect.Effect<Sample, E, R> =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* connect(url)
    const [wal, cpu] = [yield* walPosition(client), process.cpuUsage()]
    const value = yield* profiled(rateOf(count, self))
    const { system, user } = process.cpuUsage(cpu)
    const bytes = (yield* walPosition(client)) - wal
    return {
      value,
      count,
      figures: { "WAL bytes/event": bytes / count, "client CPU µs/event": (user + system) / count }
    }
  }))

/** What its statistics know about a database that all have left: the row versions that died in it, and how many of the updates were HOT. */
export const casualties = (url: string, count: number): Effect.Effect<Readonly<Record<string, number>>> =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* connect(url)
    const alone = yield* untilTrue(
      url,
      "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    // Each tells what it has counted when it leaves.
    yield* Effect.timeoutOption(alone, "3 seconds")
    const { rows } = yield* Effect.promise(() =>
      client.query<{ dead: number; hot: number; updated: number; commits: number }>(`
        SELECT sum(n_tup_upd + n_tup_del)::float8 AS dead, sum(n_tup_hot_upd)::float8 AS hot, sum(n_tup_upd)::float8 AS updated,
          (SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()) AS commits
        FROM pg_stat_user_tables`)
    )
    const { commits = 0, dead = 0, hot = 0, updated = 0 } = rows[0] ?? {}
    return {
      // With those that filled the table.
      "transactions/event": commits / count,
      "dead tuples/event": dead / count,
      ...updated > count / 10 && { "HOT share of updates": hot / updated }
    }
  }))

/** What an autovacuum would have done by itself a minute later: statistics for the planner. The same for all. */
export const analyze = (url: string): Effect.Effect<void> =>
  Effect.scoped(Effect.flatMap(connect(url), (client) => Effect.promise(() => client.query("ANALYZE"))))

const isTrue = (client: Client, query: string) =>
  Effect.promise(async () => {
    const { rows } = await client.query<{ holds: boolean }>(`SELECT (${query}) AS holds`)
    return rows[0]?.holds === true
  })

/** Dies unless the query's first column is true: looked at when the clock has stopped, since it may take long. */
export const mustHold = (url: string, query: string): Effect.Effect<void> =>
  Effect.scoped(Effect.gen(function*() {
    if (!(yield* isTrue(yield* connect(url), query))) {
      return yield* Effect.die(new Error(`does not hold after the run: ${query}`))
    }
  }))

/**
 * Gives an effect that looks again and again, every 5 ms unless given, whether the query's first column is true: the end of a run is when the
 * database knows, for who does not say it by stopping. By an index, where there is one.
 */
export const untilTrue = Effect.fnUntraced(function*(
  url: string,
  query: string,
  every: Duration.Input = "5 millis"
) {
  const client = yield* connect(url)
  yield* Effect.promise(() => client.query("SET enable_seqscan = off"))
  return Effect.gen(function*() {
    while (!(yield* isTrue(client, query))) yield* Effect.sleep(every)
  })
})
