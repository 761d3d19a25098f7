/** What the workers say of their destinations and of themselves. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, shellWord, some, span } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "destinations"

export const destinations: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { now, sql, table } }) {
    const time = yield* now
    const workers = yield* sql<
      { name: string; destination: string; listener: string; breaker: string; version: string }
    >`
      SELECT name, destination, listener, breaker, version FROM ${table.workers}
      WHERE seen_at > ${time} - interval '30 seconds' ORDER BY destination, name`
    const found: Array<Finding> = []
    for (const destination of new Set(workers.map(({ destination }) => destination))) {
      const all = workers.filter((worker) => worker.destination === destination)
      const open = all.filter(({ breaker }) => breaker !== "closed")
      if (open.length === 0) continue
      found.push(finding(
        name,
        open.length === all.length ? "serious" : "warning",
        `${destination} is down`,
        `${open.length} of ${all.length} workers say so (${
          some(open.map(({ name }) => name))
        }); its entries wait, and no attempt is charged`,
        `Look after ${destination}; workers try it again by themselves`
      ))
    }
    // A worker has a row for its main destination and one for each route.
    const named = (all: typeof workers) => [...new Set(all.map(({ name }) => name))]
    const polling = named(workers.filter(({ listener }) => listener !== "listening"))
    if (polling.length > 0) {
      found.push(finding(
        name,
        "warning",
        "workers find new entries by polling only",
        some(polling),
        "Give them DIRECT_URL, the database past the pooler"
      ))
    }
    const versions = [...new Set(workers.map(({ version }) => version))]
    if (versions.length > 1) {
      found.push(
        finding(
          name,
          "notice",
          "workers of several versions run",
          versions.join(", "),
          "Nothing, if a deployment is under way"
        )
      )
    }
    const pauses = yield* sql<{ kind: string; name: string; by: string; seconds: number }>`
      SELECT kind, name, coalesce(paused_by, '') AS by, extract(epoch FROM ${time} - paused_at)::float8 AS seconds
      FROM ${table.flow} WHERE paused_at IS NOT NULL ORDER BY paused_at`
    for (const { by, kind, name: paused, seconds } of pauses) {
      found.push(finding(
        name,
        "notice",
        `the ${kind} ${paused} is paused`,
        `for ${span(seconds)}, by ${by}`,
        `zakops resume --${kind} ${shellWord(paused)}`
      ))
    }
    return orOk(found, name, "no destination is down, and nothing is paused", `${named(workers).length} workers`)
  })
}
