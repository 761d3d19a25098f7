/** Whether the server is new enough for the product, and still supported by its makers. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, ok } from "./Check.ts"

const name = "version"

/** The last release of each major version: https://www.postgresql.org/support/versioning/ */
const lastReleases: Readonly<Record<number, string>> = {
  14: "2026-11-12",
  15: "2027-11-11",
  16: "2028-11-09",
  17: "2029-11-08",
  18: "2030-11-14"
}

export const version: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql } }) {
    const [server] = yield* sql<{ number: number; version: string; today: string }>`
      SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
        clock_timestamp()::date::text AS today`
    if (server === undefined) return []
    const major = Math.floor(server.number / 10_000)
    if (major < 14) {
      return [finding(
        name,
        "serious",
        `Postgres ${server.version} is too old`,
        "version 14 or later is needed",
        "Upgrade the server with pg_upgrade or by logical replication"
      )]
    }
    const last = lastReleases[major]
    return last !== undefined && last < server.today
      ? [finding(
        name,
        "notice",
        `Postgres ${major} gets no more fixes`,
        `its last release was due on ${last}; this is ${server.version}`,
        "Plan an upgrade with pg_upgrade"
      )]
      : ok(name, `Postgres ${server.version}`)
  })
}
