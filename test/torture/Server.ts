/** The run's own Postgres, with fsync on: killed and started again on the same data. */
import { install } from "@zakops/deal-desk/EmbeddedPostgres"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { readFileSync } from "node:fs"
import { join } from "node:path"

/** `immediate` is what `pg_ctl stop -m immediate` does; `kill` leaves the postmaster no time for that either. */
export type Ending = "immediate" | "kill"

/** Starts it in the scope. */
export const launch = Effect.gen(function*() {
  const { data, start, stop, url } = yield* install({ fsync: "on", synchronous_commit: "on", log_checkpoints: "off" })
  let server = yield* start
  yield* Effect.addFinalizer(() => Effect.suspend(() => stop(server)))

  const ended = Effect.callback<void>((resume) => {
    if (server.exitCode !== null || server.signalCode !== null) resume(Effect.void)
    else server.once("exit", () => resume(Effect.void))
  })

  /** Ends it without a checkpoint, and starts it again after `away`. Returns when it takes connections, which begins with recovery. */
  const crash = (ending: Ending, away: Duration.Duration) =>
    Effect.gen(function*() {
      const pid = Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0])
      process.kill(pid, ending === "kill" ? "SIGKILL" : "SIGQUIT")
      yield* ended
      yield* Effect.sleep(away)
      // The children of a postmaster that was killed end soon, but not at once; until then their memory is in use.
      server = yield* Effect.retry(start, Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 100 })))
    }).pipe(Effect.uninterruptible)

  return { url, crash }
})
