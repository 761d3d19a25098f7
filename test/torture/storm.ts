/** The faults, while traffic goes on: some at random moments, some planned so that each happens in every run. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"
import { restart } from "./measurements.ts"
import type { Profile } from "./settings.ts"
import { lease, logSchema, outsideSchema, scale } from "./settings.ts"
import { migrateBoth } from "./tables.ts"
import type { World } from "./World.ts"
import { skewedWorker, workerName } from "./World.ts"

/** Again and again, after pauses between `least` and `most` seconds. The database may be away meanwhile. */
const atRandom = <E, R>(world: World, least: number, most: number, self: Effect.Effect<unknown, E, R>) =>
  Effect.suspend(() => Effect.sleep(Duration.seconds(world.random.between(least, most)))).pipe(
    Effect.andThen(Effect.ignore(self)),
    Effect.forever
  )

const shortly = Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 600 }))

const pick = <A>(world: World, choices: ReadonlyArray<A>): A | undefined => choices[world.random.below(choices.length)]

const upWorkers = ({ workers }: World, among: ReadonlyArray<number>) => among.filter(workers.isUp)

const killOne = (world: World) =>
  Effect.gen(function*() {
    const victim = pick(world, upWorkers(world, [0, 1, 2].filter((worker) => worker !== skewedWorker)))
    if (victim === undefined) return
    const pid = yield* world.workers.kill(victim)
    world.faults.begin("workers killed", { pid })
  })

/** It stands still for twice the lease, with calls whose answers wait for it. */
const stopOne = (world: World) =>
  Effect.gen(function*() {
    const { destination, faults, workers } = world
    const victim = pick(world, upWorkers(world, [0, 1, 2]))
    if (victim === undefined) return
    destination.order({ to: "hold", worker: workerName(victim) })
    for (let looks = 0; looks < 100 && destination.holding() === 0; looks++) yield* Effect.sleep("10 millis")
    if (!workers.isUp(victim)) return destination.order({ to: "release" })
    const over = faults.begin("workers stopped for twice the lease", { pid: yield* workers.freeze(victim) })
    yield* Effect.sleep(Duration.times(lease, 2))
    destination.order({ to: "release" })
    yield* workers.thaw(victim)
    over()
  })

const tellOneToStop = (world: World) =>
  Effect.gen(function*() {
    const victim = pick(world, upWorkers(world, [0, 1]))
    if (victim === undefined) return
    const over = world.faults.begin("workers told to stop", { pid: world.workers.pidOf(victim) })
    yield* Effect.timeoutOption(world.workers.terminate(victim), "15 seconds")
    over()
  })

const terminateSessions = (world: World, listeners: boolean) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const sessions = yield* sql<{ pid: number }>`
      SELECT pid FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND application_name NOT IN ('torture', 'open-transaction')
        AND application_name LIKE ${listeners ? "% listener" : "%"} ORDER BY pid`
    const victim = pick(world, sessions)
    if (victim === undefined) return
    yield* sql`SELECT pg_terminate_backend(${victim.pid}::int)`
    world.faults.begin(listeners ? "listeners terminated" : "sessions terminated")()
  })

/** Each kind in its turn: each has to happen. */
const networkTroubles = ["reset", "everything", "answers", "reset"] as const
let networkTrouble = 0

const troubleTheNetwork = (world: World) =>
  Effect.gen(function*() {
    const { faults, proxy, random } = world
    const half = () => random.chance(0.5)
    const kind = networkTroubles[networkTrouble++ % networkTroubles.length]
    if (kind === "reset") {
      const times = proxy.reset(half)
      if (times > 0) faults.begin("connections reset", { times })()
      return
    }
    yield* Effect.acquireUseRelease(
      Effect.sync(() => {
        const hole = proxy.swallow(half, kind)
        const over = faults.begin("connections in black holes", { times: hole.swallowed })
        return () => {
          hole.end()
          over()
        }
      }),
      () => Effect.sleep(Duration.seconds(random.between(1.5, 3))),
      (end) => Effect.sync(end)
    )
  })

const fillTheDisk = Effect.flatMap(SqlClient, (sql) =>
  Effect.acquireUseRelease(
    sql`UPDATE torture.disk SET full_now = true`,
    () => Effect.sleep("1 second"),
    // Whatever else is going on: a disk that stays full would be no fault that passes.
    () => Effect.orDie(Effect.retry(sql`UPDATE torture.disk SET full_now = false`, shortly))
  ))

/** As a migration would: under a lock that waits only shortly, and again until it gets it. */
const changeTables = (world: World) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const tables = [`${outsideSchema}.outbox`, `${logSchema}.outbox`, `${logSchema}.agent_events`]
    const patiently = (change: string) =>
      Effect.retry(
        sql.withTransaction(Effect.andThen(sql`SET LOCAL lock_timeout = '500ms'`, sql.unsafe(change))).pipe(
          Effect.tap(Effect.sync(() => world.faults.count("changes of tables")))
        ),
        shortly
      )
    for (const table of tables) {
      yield* patiently(`ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS torture_extra int NOT NULL DEFAULT 7`)
      yield* patiently(`CREATE INDEX IF NOT EXISTS torture_${table.replace(".", "_")} ON ${table} (correlation_id)`)
    }
    yield* migrateBoth
    for (const table of tables) yield* patiently(`ALTER TABLE ${table} DROP COLUMN IF EXISTS torture_extra`)
    for (const table of tables) {
      yield* patiently(`DROP INDEX IF EXISTS ${table.split(".")[0]}.torture_${table.replace(".", "_")}`)
    }
  })

const leaveOpen = (world: World) =>
  Effect.gen(function*() {
    const over = world.faults.begin("transactions left open", { pid: 0 })
    const code = yield* world.openTransaction(scale(world.options.profile).openTransaction)
    if (code !== 0) return yield* Effect.die(new Error("the transaction that was to stay open has failed"))
    over()
  })

const outage = (world: World) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      world.destination.order({ to: "close" })
      return world.faults.begin("outages of the destination", { pid: 0 })
    }),
    () => Effect.sleep(Duration.seconds(scale(world.options.profile).outage)),
    (over) =>
      Effect.sync(() => {
        world.destination.order({ to: "open" })
        over()
      })
  )

/** The least that a storm needs to hold everything, in seconds. */
export const leastSeconds = (profile: Profile) => {
  const { openTransaction, outage } = scale(profile)
  return openTransaction + outage + 20
}

/** A stopped worker has come back too late to settle, and has got through to note it: what follows from faults, and cannot be planned. */
const aFenceFired = Effect.gen(function*() {
  const sql = yield* SqlClient
  const look = sql<{ fired: boolean }>`
    SELECT EXISTS (SELECT FROM zakops.outbox_attempts WHERE outcome = 'fenced') AS fired`
  while (true) {
    const [found] = yield* Effect.retry(look, shortly)
    if (found?.fired) return
    yield* Effect.sleep("500 millis")
  }
})

/** Lasts `seconds`, and on a busy machine until the planned faults have happened, or a minute more until a fence has fired. What it gives are the milliseconds from Postgres' first connections to the first delivery, after each restart. */
export const storm = (world: World) =>
  Effect.gen(function*() {
    const { seconds } = world.options
    const resumed: Array<number> = []
    const ends = Date.now() + seconds * 1000
    world.destination.order({ to: "behave", misbehave: true })

    const restartedBothWays = yield* Deferred.make<void>()
    // One after another, since a transaction cannot stay open across a restart, and no table can be changed beside it.
    const planned = Effect.gen(function*() {
      yield* Effect.sleep("1 second")
      yield* leaveOpen(world)
      yield* Effect.forkChild(Effect.sleep("4 seconds").pipe(Effect.andThen(outage(world))))
      let endings = 0
      while (endings < 2 || Date.now() < ends) {
        resumed.push(yield* restart(world, endings++ % 2 === 0 ? "immediate" : "kill", Duration.seconds(0.5)))
        if (endings === 2) yield* Deferred.succeed(restartedBothWays, undefined)
        yield* Effect.sleep("3 seconds")
        yield* Effect.ignore(Effect.timeoutOption(changeTables(world), "8 seconds"))
        yield* Effect.sleep(Duration.seconds(Math.max(2, seconds / 12)))
      }
    })

    yield* Effect.all([
      planned,
      atRandom(world, 1, 3, killOne(world)),
      atRandom(world, 1, Math.max(3, seconds / 20), stopOne(world)),
      atRandom(world, seconds / 10, seconds / 5, tellOneToStop(world)),
      atRandom(world, 0.7, 2, terminateSessions(world, false)),
      atRandom(world, 2, 5, terminateSessions(world, true)),
      atRandom(world, 2, 6, troubleTheNetwork(world)),
      atRandom(world, seconds / 10, seconds / 5, fillTheDisk)
    ], { concurrency: "unbounded", discard: true }).pipe(
      Effect.raceFirst(
        Effect.all([
          Effect.sleep(Duration.seconds(seconds)),
          Deferred.await(restartedBothWays),
          Effect.timeoutOption(aFenceFired, Duration.seconds(seconds + 60))
        ], { concurrency: "unbounded", discard: true })
      ),
      // Whatever was cut short is put right.
      Effect.ensuring(Effect.forEach([0, 1, 2], world.workers.thaw, { discard: true })),
      Effect.ensuring(Effect.sync(() => {
        for (const window of world.faults.windows) window.to = Math.min(window.to, Date.now())
      }))
    )
    world.destination.order({ to: "release" })
    world.destination.order({ to: "behave", misbehave: false })
    return resumed.filter((millis) => Number.isFinite(millis))
  })
