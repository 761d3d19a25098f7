/** The measurements before the storm, one disturbance at a time while traffic goes on, and the figures that they give. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Figure } from "./figures.ts"
import { lease, outsideSchema, pollInterval, scale } from "./settings.ts"
import type { World } from "./World.ts"
import { workerName } from "./World.ts"

/** Looks again every 20 ms until it holds, and gives how many milliseconds that took; at most `most` seconds. */
const until = Effect.fnUntraced(function*<E, R>(most: number, self: Effect.Effect<boolean, E, R>) {
  const from = Date.now()
  while (!(yield* self)) {
    if (Date.now() - from > most * 1000) break
    yield* Effect.sleep("20 millis")
  }
  return Date.now() - from
})

const listenersOf = (schema: string) =>
  Effect.flatMap(SqlClient, (sql) =>
    Effect.map(
      sql<{ pid: number }>`SELECT pid FROM pg_stat_activity WHERE application_name = ${`${schema}_outbox listener`}`,
      (rows) => rows.map(({ pid }) => pid)
    ))

/** SIGTERM in the middle of calls that take 300 ms. */
const drain = (world: World) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    world.destination.order({ to: "slow", millis: 300 })
    yield* Effect.sleep("600 millis")
    const { code, millis, pid } = yield* world.workers.terminate(0)
    world.faults.count("workers told to stop")
    world.destination.order({ to: "slow", millis: 0 })
    yield* Effect.sleep(Duration.sum(lease, pollInterval))
    // Attempts that the worker's end had cost: failed later by others, since their leases ran out.
    const [charged] = yield* sql<{ count: number }>`
      SELECT count(*)::int AS count FROM zakops.outbox_attempts WHERE worker LIKE ${`%:${pid}`} AND outcome = 'lease_expired'`
    const problems = [
      ...charged?.count === 0 ? [] : [`SIGTERM has charged ${charged?.count} attempts`],
      ...code === null ? ["SIGTERM was not heeded"] : []
    ]
    return {
      problems,
      figures: [{ name: "drain after SIGTERM", value: millis, unit: "ms", limit: 10_000 }] as ReadonlyArray<Figure>
    }
  })

/** kill -9 in the middle of calls: until others have taken up all that it held. */
const crash = (world: World) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const worker = 0
    yield* world.workers.allUp
    world.destination.order({ to: "hold", worker: workerName(worker) })
    yield* until(5, Effect.sync(() => world.destination.holding() > 0))
    const pid = yield* world.workers.kill(worker)
    const from = yield* sql<{ at: number }>`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS at`
    world.faults.begin("workers killed", { pid })
    world.destination.order({ to: "release" })
    const mine = `%:${pid}`
    yield* until(
      30,
      Effect.map(
        sql`SELECT FROM zakops.outbox WHERE status = 'processing' AND claimed_by LIKE ${mine} LIMIT 1`,
        (rows) => rows.length === 0
      )
    )
    // Of each key the first: those behind it wait until that one is delivered, whoever holds them.
    const [last] = yield* sql<{ at: number | null; count: number }>`
      SELECT extract(epoch FROM max(first))::float8 * 1000 AS at, count(*)::int AS count FROM (
        SELECT min(at) AS first FROM torture.journal JOIN torture.business ON event_id = entry_id
        WHERE was = 'processing' AND became = 'processing' AND worker LIKE ${mine} GROUP BY coalesce(key, event_id::text)
      ) AS taken`
    const value = (last?.at ?? NaN) - (from[0]?.at ?? NaN)
    return {
      problems: (last?.count ?? 0) > 0 ? [] : ["the worker that was killed had held nothing"],
      figures: [{
        name: "recovery of what a killed worker held",
        value,
        unit: "ms",
        limit: Duration.toMillis(lease) + Duration.toMillis(pollInterval)
      }] as ReadonlyArray<Figure>
    }
  })

/** The listeners of the outbox are terminated again and again for 4 s: what polling makes of it, and until as many listen again. */
const deafness = (world: World) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* world.workers.allUp
    const before = (yield* listenersOf(outsideSchema)).length
    const [begin] = yield* sql<{ at: Date }>`SELECT clock_timestamp() AS at`
    const ends = Date.now() + 4000
    let last: ReadonlyArray<number> = []
    while (Date.now() < ends) {
      last = yield* listenersOf(outsideSchema)
      yield* sql`SELECT pg_terminate_backend(pid) FROM unnest(${last}::int[]) AS pid`
      world.faults.begin("listeners terminated", { times: last.length })()
      yield* Effect.sleep("20 millis")
    }
    const [end] = yield* sql<{ at: Date }>`SELECT clock_timestamp() AS at`
    const millis = yield* until(30, Effect.map(listenersOf(outsideSchema), ({ length }) => length >= before))
    yield* until(
      10,
      Effect.map(
        sql`SELECT FROM zakops.outbox WHERE ordering_key IS NULL AND attempts = 0 AND created_at <= ${
          end?.at ?? null
        } LIMIT 1`,
        (rows) => rows.length === 0
      )
    )
    // Events without a key, which wait for nothing but to be noticed.
    const [noticed] = yield* sql<{ millis: number | null; missed: number }>`
      SELECT extract(epoch FROM max(claimed.at - o.created_at))::float8 * 1000 AS millis,
        (count(*) FILTER (WHERE claimed.at IS NULL))::int AS missed
      FROM zakops.outbox o LEFT JOIN LATERAL (
        SELECT min(at) AS at FROM torture.journal WHERE entry_id = o.id AND became = 'processing') AS claimed ON true
      WHERE o.ordering_key IS NULL AND o.created_at BETWEEN ${begin?.at ?? null} AND ${end?.at ?? null}`
    return {
      problems: [
        ...before > 0 ? [] : ["nobody had listened"],
        ...noticed?.missed === 0 ? [] : [`${noticed?.missed} events were not noticed while nobody listened`]
      ],
      figures: [
        { name: "LISTEN restored", value: millis, unit: "ms", limit: 15_000 },
        {
          name: "an event noticed while nobody listened, at the latest",
          value: noticed?.millis ?? NaN,
          unit: "ms",
          limit: undefined
        }
      ] as ReadonlyArray<Figure>
    }
  })

/** Postgres ended at once and started again: from its first connection to the first delivery. */
export const restart = (world: World, ending: "immediate" | "kill", away: Duration.Duration) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const over = world.faults.begin(
      ending === "kill" ? "restarts of Postgres after kill -9" : "immediate restarts of Postgres"
    )
    yield* world.server.crash(ending, away)
    over()
    const [back] = yield* Effect.retry(
      sql<{ at: Date }>`SELECT clock_timestamp() AS at`,
      { times: 100 }
    )
    const from = back?.at ?? new Date()
    yield* until(
      30,
      Effect.map(
        sql`SELECT FROM torture.journal WHERE outside AND became = 'delivered' AND at > ${from} LIMIT 1`,
        (rows) => rows.length > 0
      ).pipe(Effect.orElseSucceed(() => false))
    )
    const [first] = yield* sql<{ millis: number | null }>`
      SELECT extract(epoch FROM min(at) - ${from})::float8 * 1000 AS millis FROM torture.journal
      WHERE outside AND became = 'delivered' AND at > ${from}`
    return first?.millis ?? Infinity
  })

const resumption = (world: World) =>
  Effect.gen(function*() {
    const { databaseAway } = scale(world.options.profile)
    yield* world.workers.allUp
    const millis = yield* restart(world, "immediate", Duration.seconds(databaseAway))
    return {
      problems: [],
      figures: [{
        name: `work resumed after Postgres was away for ${databaseAway} s`,
        value: millis,
        unit: "ms",
        limit: 5000
      }] as ReadonlyArray<Figure>
    }
  })

/** Takes about 20 s. */
export const measure = (world: World) =>
  Effect.forEach([drain, crash, deafness, resumption], (measured) => measured(world))
