/** One run: start everything, measure, let the storm loose, let it settle, and check the books. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import type { Books } from "./Books.ts"
import { readBooks } from "./Books.ts"
import { duplicates } from "./checkAttempts.ts"
import { checkNames } from "./checkNames.ts"
import type { Check } from "./checks.ts"
import { check } from "./checks.ts"
import { faults } from "./FaultLog.ts"
import type { Figure } from "./figures.ts"
import { memoryFigures } from "./figures.ts"
import { measure } from "./measurements.ts"
import { launch } from "./Server.ts"
import type { Options } from "./settings.ts"
import { storm } from "./storm.ts"
import { makeTables } from "./tables.ts"
import type { World } from "./World.ts"
import { duplicatedWorker, makeWorld, skewedWorker, workerName } from "./World.ts"

export interface Report {
  readonly checks: ReadonlyArray<Check>
  readonly figures: ReadonlyArray<Figure>
  readonly faults: ReadonlyMap<string, number>
  readonly counts: Readonly<Record<string, number>>
}

/** Seconds. The first is a figure, which a machine that has other things to do may miss; after the second what is left has been lost. */
const settleWithin = 30
const settleAtLast = 150

/** What is still to be done: entries, and events that the readers have not read. */
const leftToDo = Effect.gen(function*() {
  const sql = yield* SqlClient
  const [left] = yield* sql<{ outside: number; log: number; effects: number; fold: number }>`
    SELECT (SELECT count(*)::int FROM zakops.outbox WHERE NOT finished) AS outside,
      (SELECT count(*)::int FROM zakops_log.outbox WHERE NOT finished) AS log,
      (SELECT count(*)::int FROM zakops_log.agent_events l WHERE NOT EXISTS (
        SELECT FROM torture.effects e WHERE e.event_id = l.id)) AS effects,
      (SELECT count(*)::int FROM zakops_log.agent_events) - (SELECT coalesce(sum(events), 0)::int FROM torture.fold) AS fold`
  return [
    [left?.outside, "entries for the destination are not finished"],
    [left?.log, "entries for the log are not finished"],
    [left?.effects, "events have had no effect"],
    [left?.fold, "events are missing in the projection"]
  ].flatMap(([count, words]) => count === 0 ? [] : [`${count} ${words}`])
})

/** The producers end what they are at; nobody writes any more when this returns. */
const endProducers = ({ producers }: World) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    for (const { process } of producers) if (process.connected) process.send("stop")
    yield* Effect.forEach(producers, ({ ended }) => ended, { discard: true, concurrency: "unbounded" })
    // A COMMIT may still be under way when its producer has given up on it.
    while (true) {
      const open = yield* sql`SELECT FROM pg_stat_activity WHERE application_name LIKE 'producer-%'`
      if (open.length === 0) return
      yield* Effect.sleep("50 millis")
    }
  })

const countFaults = ({ faults }: World, { accounts, business, history, ledger }: Books, refused: number) => {
  const callsOf = (worker: string) => ledger.filter((line) => line.what === "begun" && line.worker === worker).length
  const innocent = new Set(business.filter(({ fate }) => fate === "taken").map(({ id }) => id))
  const rolledBack = (why: string) =>
    [...accounts.values()].filter((account) => account.outcome === "rolled back" && account.why === why).length
  faults.count("calls refused", ledger.filter(({ id, what }) => what === "refused" && innocent.has(id)).length)
  faults.count("calls that hung", ledger.filter(({ what }) => what === "hung").length)
  faults.count("answers lost", ledger.filter(({ what }) => what === "lost").length)
  faults.count("calls of the worker whose clock is off", callsOf(workerName(skewedWorker)))
  faults.count("calls of the duplicate processor", callsOf(`${workerName(duplicatedWorker)} duplicate`))
  faults.count("transactions rolled back", rolledBack("wanted"))
  faults.count("inserts refused as if the disk were full", refused)
  faults.count("fences that fired", history.filter(({ outcome }) => outcome === "fenced").length)
}

/** How far off its clock is, of the worker for which that matters. */
const clockProblems = ({ workers }: World) =>
  workers.clocks.some(({ off, worker }) => worker === skewedWorker && off > 80_000) ? [] : ["no worker's clock was off"]

/** @param tell what is going on, in a line */
export const torture = (options: Options, tell: (line: string) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    const server = yield* launch
    return yield* Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* makeTables
      const world = yield* makeWorld(options, server)
      yield* world.workers.allUp
      yield* tell("all processes are up; measuring")
      const measured = yield* measure(world)
      yield* tell(`the storm: ${options.seconds} s`)
      const resumed = yield* storm(world)
      yield* tell("the storm is over; settling")
      const over = Date.now()
      yield* endProducers(world)
      let left = yield* leftToDo
      while (left.length > 0 && Date.now() - over < settleAtLast * 1000) {
        yield* Effect.sleep("200 millis")
        left = yield* leftToDo
      }
      const settled = Date.now() - over
      yield* world.workers.dismiss
      const books = yield* readBooks(world)
      const [refused] = yield* sql<{ count: number }>`SELECT last_value::int AS count FROM torture.refused`
      countFaults(world, books, refused?.count ?? 0)

      const checks = [
        ...check(world, books, faults, left),
        {
          name: checkNames.measured,
          problems: measured.flatMap(({ problems }) => problems)
        },
        { name: checkNames.clock, problems: clockProblems(world) }
      ]
      const figures: ReadonlyArray<Figure> = [
        ...measured.flatMap(({ figures }) => figures),
        {
          name: "work resumed in the storm, at the latest",
          value: Math.max(0, ...resumed),
          unit: "ms",
          limit: undefined
        },
        { name: "settled after the storm", value: settled, unit: "ms", limit: settleWithin * 1000 },
        ...memoryFigures(
          world.workers.memory.filter(({ worker }) => worker === skewedWorker).map(({ bytes }) => bytes),
          options.seconds
        )
      ]
      const outcomes = Object.groupBy(books.accounts.values(), ({ outcome }) => outcome ?? "unknown")
      const counts = {
        "transactions committed": outcomes["committed"]?.length ?? 0,
        "transactions rolled back": outcomes["rolled back"]?.length ?? 0,
        "transactions of unknown outcome, read back": outcomes["unknown"]?.length ?? 0,
        "events": books.business.length,
        "calls to the destination": books.ledger.filter(({ what }) => what === "begun").length,
        "events accepted again": duplicates(books),
        "attempts that did not deliver": books.history.length,
        "dead, as they had to be": books.outside.filter(({ status }) => status === "dead").length
      }
      return { checks, figures, faults: world.faults.counts, counts } satisfies Report
    }).pipe(
      // The world ends before the client that its last checks used.
      Effect.scoped,
      Effect.provide(PgClient.layer({ url: Redacted.make(server.url), maxConnections: 6, applicationName: "torture" }))
    )
  }).pipe(Effect.scoped)
