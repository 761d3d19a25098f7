/**
 * What the demo plays: traffic with everything that goes wrong in production, small. Ends when all that was emitted has come to rest.
 */
import * as Database from "@zakops/migrations/Database"
import { DeadLetters, OutboxOverview } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { ActionAdded } from "../events.ts"
import { layerWorker } from "../worker.ts"
import { readBooks } from "./books.ts"
import { mendFaults } from "./faults.ts"
import { Notes } from "./Notes.ts"
import { layerShortWaits } from "./shortWaits.ts"
import type { Traffic } from "./Traffic.ts"

const half = 100

/** Starts a worker process, which ends with the scope at the latest. */
const startWorkerProcess = (databaseUrl: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [fileURLToPath(new URL("./workerProcess.ts", import.meta.url))], {
        env: { ...process.env, DATABASE_URL: databaseUrl },
        stdio: ["pipe", "ignore", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const killed = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

/** Leaves a worker running in the scope. */
export const play = Effect.fnUntraced(function*(traffic: Traffic, databaseUrl: string) {
  const { tell } = yield* Notes
  const { overview } = yield* OutboxOverview
  const { sql, table } = yield* Database.make
  const deliveredSoFar = Effect.map(overview, ({ delivered }) => delivered)

  yield* tell("a worker process starts: outbox processor, timeline, pipeline report, mailer")
  const before = yield* deliveredSoFar
  const worker = yield* startWorkerProcess(databaseUrl)

  yield* tell(
    `${half} deals are worked on through the API, 16 at a time; some moves are rolled back after their event was emitted`
  )
  const first = yield* Effect.forkChild(Effect.andThen(traffic.poison, traffic.deals(1, half + 1)))
  yield* waitUntil(Effect.map(deliveredSoFar, (delivered) => delivered >= before + 2 * half))
  yield* killed(worker)
  const done = (yield* deliveredSoFar) - before
  yield* tell(`the worker process was killed (SIGKILL) after ${done} deliveries, in the middle of its work`)
  yield* Fiber.join(first)

  yield* tell(
    "the mailer's checkpoint is lost: it will read the log from the start, and the inbox has to skip what it has handled"
  )
  yield* sql`DELETE FROM ${table.checkpoints} WHERE subscription = 'mailer'`

  yield* tell(`${half} more deals, while no worker runs: the backlog grows`)
  yield* traffic.deals(half + 1, 2 * half + 1)
  yield* tell("another worker starts, in this process")
  yield* Layer.build(layerWorker.pipe(Layer.provide(layerShortWaits)))

  yield* waitUntil(
    Effect.map(readBooks(traffic.accounts), ({ dead, delivered, emitted }) => dead === 1 && delivered === emitted - 2)
  )
  yield* tell("one event is dead, and the next of its deal waits behind it; all other deals are through")
  yield* mendFaults
  const deadLetters = yield* DeadLetters
  const redriven = yield* deadLetters.redrive({ type: ActionAdded.type }, { by: "the demo" })
  yield* tell(
    `the cause is mended, and ${redriven} dead letter is redriven: it keeps its place before the one behind it`
  )

  yield* waitUntil(
    Effect.map(
      readBooks(traffic.accounts),
      ({ delivered, duplicatesSkipped, emitted, lost }) => delivered === emitted && lost === 0 && duplicatesSkipped > 0
    )
  )
  yield* tell("everything has come to rest")
})

/** Looks ten times a second, for a minute at most: what has not come about by then shows in the books. */
const waitUntil = <E, R>(holds: Effect.Effect<boolean, E, R>) =>
  Effect.timeoutOption(
    Effect.repeat(holds, { until: (yes) => yes, schedule: Schedule.spaced("100 millis") }),
    "60 seconds"
  )
