/** `zakops status`: how the outbox is, at one look, or again and again. */
import type { Overview } from "@zakops/admin/api/overview"
import { SystemStatus } from "@zakops/admin/SystemStatus"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { FlowControl } from "@zakops/outbox"
import type { Pause } from "@zakops/outbox"
import { Destinations } from "@zakops/outbox/Destinations"
import type { DestinationCounts } from "@zakops/outbox/routing/countDestinations"
import { Workers } from "@zakops/outbox/Workers"
import type { Worker } from "@zakops/outbox/Workers"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { painted } from "./colour.ts"
import { json } from "./deadFilter.ts"
import { untilTold } from "./exitCodes.ts"
import { layerFlow } from "./flow.ts"
import { toJson, toJsonLine } from "./json.ts"
import { misuse } from "./Problem.ts"
import { countInWords } from "./purge.ts"
import { age, asTable, harmless, shortened, when } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const watch = Flag.Boolean("watch").pipe(
  Flag.withAlias("w"),
  Flag.withDefault(false),
  Flag.withDescription("Look again every two seconds, until Ctrl-C; with --json one line each time")
)
const interval = Flag.Finite("interval").pipe(
  Flag.withDefault(2),
  Flag.withDescription("Seconds between two looks with --watch, 0.2 to 3600; 2 if not given")
)

interface Status extends Overview {
  readonly destinations: ReadonlyArray<DestinationCounts>
  readonly workers: ReadonlyArray<Worker>
  readonly paused: ReadonlyArray<Pause>
}

const read = Effect.gen(function*() {
  const overview = yield* Effect.flatMap(SystemStatus, ({ read }) => read)
  const destinations = yield* Effect.flatMap(Destinations, ({ list }) => list)
  const workers = yield* Effect.flatMap(Workers, ({ list }) => list)
  const paused = yield* Effect.flatMap(FlowControl, ({ paused }) => paused)
  return { ...overview, destinations, workers, paused } satisfies Status
})

const layer = Layer.mergeAll(SystemStatus.layer, Destinations.layer, Workers.layer, layerFlow)

const percent = (share: number | null) => share === null ? "" : `${Math.round(share * 100)}%`

const inWords = (status: Status, shown: string): string => {
  const { blockedKeys, counts, deadByError, destinations, oldestPendingAge, paused, workers } = status
  const parts = [
    `${painted("bold", oldestPendingAge === null ? "nothing is due" : `oldest due for ${age(oldestPendingAge)}`)}` +
    `  (${shown}, ${when(status.at)})`,
    asTable(
      Object.keys(counts).concat("blocked keys"),
      [[...Object.values(counts), blockedKeys].map(countInWords)]
    )
  ]
  if (destinations.length > 0) {
    parts.push(asTable(
      ["destination", "pending", "held", "dead", "oldest", "workers", "paused"],
      destinations.map(({ capped, dead, destination, holding, name, oldest, pausedAt, pending, workers }) => [
        `${name ?? destination ?? "(nobody delivers)"}${destination === null ? "" : " (route)"}`,
        `${pending}${capped ? "+" : ""}`,
        String(holding),
        `${dead}${capped ? "+" : ""}`,
        oldest === null ? "" : age(oldest),
        String(workers),
        when(pausedAt)
      ])
    ))
  }
  parts.push(
    workers.length === 0
      ? painted("yellow", "no worker runs")
      : asTable(
        ["worker", "delivers to", "per second", "share", "holding", "listener", "breaker", "seen"],
        workers.map((worker) => [
          worker.name,
          worker.destination,
          worker.perSecond.toFixed(1),
          percent(worker.share),
          String(worker.holding),
          worker.listener,
          worker.breaker,
          worker.alive ? when(worker.seenAt) : `${when(worker.seenAt)} (gone)`
        ])
      )
  )
  if (paused.length > 0) {
    parts.push(asTable(
      ["paused", "name", "since", "by"],
      paused.map(({ kind, name, pausedAt, pausedBy }) => [kind, name, when(pausedAt), pausedBy])
    ))
  }
  if (deadByError.length > 0) {
    parts.push(asTable(
      ["dead", "newest", "error"],
      deadByError.map(({ count, error, newest }) => [String(count), when(newest), harmless(shortened(error))])
    ))
  }
  return parts.join("\n\n")
}

/** On a terminal each look takes the place of the one before it. */
const clear = process.stdout.isTTY === true ? "\u001b[H\u001b[2J" : ""

export const command = Command.make(
  "status",
  { json, watch, interval },
  ({ interval, json, watch }) =>
    withTables((shown) =>
      Effect.gen(function*() {
        if (interval < 0.2 || interval > 3600) {
          return yield* misuse(`--interval is ${interval}: allowed is 0.2 to 3600 seconds`)
        }
        if (!watch) {
          const status = yield* read
          return yield* Console.log(json ? toJson(status) : inWords(status, shown))
        }
        const look = Effect.flatMap(
          read,
          (status) => Console.log(json ? toJsonLine(status) : `${clear}${inWords(status, shown)}\n`)
        )
        // A database that is away for a while is no reason to look away.
        const patient = Effect.catchIf(
          look,
          SqlErrors.isTrouble,
          (error) => Effect.sync(() => process.stderr.write(`zakops: ${harmless(SqlErrors.serverText(error))}\n`))
        )
        return yield* untilTold(Effect.forever(Effect.andThen(patient, Effect.sleep(interval * 1000))))
      }).pipe(Effect.provide(layer))
    )
).pipe(
  Command.withDescription("How the outbox is: what waits and for how long, destinations, workers, pauses, dead letters")
)
