/**
 * Runs the totals projection on the database of DATABASE_URL, and kills itself with SIGKILL at the step that KILL_AT names, after as many
 * events as KILL_AFTER says: one of several processes that a test starts one after another.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { run } from "@zakops/event-store/runProjection"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { totals } from "./totals.ts"

const dieAt = process.env["KILL_AT"] ?? "never"
let left = Number(process.env["KILL_AFTER"] ?? "0")

const die = (step: string, events: number) =>
  Effect.sync(() => {
    if (step !== dieAt) return
    left -= events
    if (left <= 0) process.kill(process.pid, "SIGKILL")
  })

// The commit is on its way to the server a moment after the handler has returned.
const dieSoon = Effect.sync(() => {
  if (dieAt === "committing" && --left <= 0) setTimeout(() => process.kill(process.pid, "SIGKILL"), 1)
})

const projection = {
  ...totals,
  handle: (events: Parameters<typeof totals.handle>[0]) =>
    die("before handling", events.length).pipe(
      Effect.andThen(totals.handle(events)),
      Effect.andThen(die("before commit", events.length)),
      Effect.andThen(dieSoon)
    )
}

await Effect.runPromise(
  run(projection, { batchSize: Number(process.env["BATCH"] ?? "5"), pollInterval: "20 millis", lease: "300 millis" })
    .pipe(
      Effect.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
    )
)
