/**
 * Runs the totals projection on the database of DATABASE_URL, into TABLE if it is given, and kills itself with SIGKILL at the step that
 * KILL_AT names, after as many events (messages to the server, for `sent`) as KILL_AFTER says: one of several processes of a test. Its
 * lease is that of LEASE, or 300 ms.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { run } from "@zakops/event-store/runProjection"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Socket } from "node:net"
import { totals, totalsAt } from "./totals.ts"

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

// Whatever was sent is on its way to the server, which finds nobody to answer.
if (dieAt === "sent") {
  const write = Socket.prototype._write
  Socket.prototype._write = function(...message) {
    write.apply(this, message)
    if (--left <= 0) process.kill(process.pid, "SIGKILL")
  }
}

const lease = Duration.fromInputUnsafe((process.env["LEASE"] ?? "300 millis") as Duration.Input)
const table = process.env["TABLE"]
const undisturbed = table === undefined ? totals : totalsAt(table)
const projection = {
  ...undisturbed,
  handle: (events: Parameters<typeof totals.handle>[0]) =>
    die("before handling", events.length).pipe(
      Effect.andThen(undisturbed.handle(events)),
      Effect.andThen(die("before commit", events.length)),
      Effect.andThen(dieSoon)
    )
}

await Effect.runPromise(
  run(projection, { batchSize: Number(process.env["BATCH"] ?? "5"), pollInterval: "20 millis", lease })
    .pipe(
      Effect.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
    )
)
