/** How far this machine's clock is from the database's, which alone decides what is due. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, ok } from "./Check.ts"

const name = "clock"

export const clock: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql }, limits }) {
    const before = yield* Clock.currentTimeMillis
    const [database] = yield* sql<{ millis: number }>`
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS millis`
    const after = yield* Clock.currentTimeMillis
    if (database === undefined) return []
    // It was read at some time in between.
    const uncertain = (after - before) / 2
    const ahead = database.millis - (before + uncertain)
    const seconds = Math.abs(ahead) / 1000
    return seconds > limits.clockSeconds + uncertain / 1000
      ? [finding(
        name,
        "warning",
        `the database's clock is ${seconds.toFixed(1)} s ${ahead > 0 ? "ahead of" : "behind"} this machine's`,
        "retries and leases go by the database's; deadlines, delays and the times in logs come from here",
        "Let both machines keep time: timedatectl set-ntp true (systemd-timesyncd or chrony)"
      )]
      : ok(
        name,
        "this machine and the database agree on the time",
        `within ${(seconds + uncertain / 1000).toFixed(1)} s`
      )
  })
}
