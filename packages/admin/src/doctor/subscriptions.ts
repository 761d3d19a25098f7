/** Subscriptions and projections that stand still, or that have set events aside. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, shellWord, span } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "subscriptions"

export const subscriptions: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { now, sql, table }, limits, names }) {
    const time = yield* now
    const found: Array<Finding> = []
    const stopped = yield* sql<{ name: string; version: number; error: string }>`
      SELECT name, version, error FROM ${table.projections} WHERE error IS NOT NULL ORDER BY name, version`
    for (const { error, name: projection, version } of stopped) {
      found.push(finding(
        name,
        "serious",
        `version ${version} of the projection ${projection} has stopped`,
        error,
        `zakops projections status ${
          shellWord(projection)
        }; deploy a build that can go on, or zakops projections rebuild ${shellWord(projection)}`
      ))
    }
    const parked = yield* sql<{ subscription: string; count: number }>`
      SELECT subscription, count(*)::int AS count FROM ${table.parkedEvents} WHERE retry_at IS NULL
      GROUP BY subscription ORDER BY subscription`
    for (const { count, subscription } of parked) {
      found.push(finding(
        name,
        "warning",
        `${subscription} has set ${count} events aside`,
        "it goes on without them, and without those of the same aggregate behind them",
        `zakops consumers parked ${shellWord(subscription)}; zakops consumers retry ${
          shellWord(subscription)
        } --all, when the cause is mended`
      ))
    }
    // Nobody holds it, and there is something to read.
    const idle = yield* sql<{ subscription: string; quoted: string; seconds: number }>`
      SELECT subscription, quote_literal(subscription) AS quoted, extract(epoch FROM ${time} - updated_at)::float8 AS seconds FROM ${table.checkpoints} AS checkpoint
      WHERE (lease_until IS NULL OR lease_until < ${time} - ${limits.waitingSeconds}::float8 * interval '1 second')
        AND EXISTS (SELECT FROM ${table.agentEvents} log
          WHERE (log.xid, log.position) > (checkpoint.xid, checkpoint.position) AND log.created_at < ${time} - ${limits.waitingSeconds}::float8 * interval '1 second')
        AND NOT EXISTS (SELECT FROM ${table.projections} p WHERE p.status = 'retired' AND 'projection ' || p.name || ' v' || p.version = checkpoint.subscription)
      ORDER BY subscription LIMIT 20`
    for (const { quoted, seconds, subscription } of idle) {
      found.push(finding(
        name,
        "warning",
        `nobody runs ${subscription}`,
        `its checkpoint has not moved for ${span(seconds)}, and there is more to read`,
        `Start the program that runs it; where it is not needed any more: DELETE FROM ${names.parkedEvents} WHERE subscription = ` +
          `${quoted}; DELETE FROM ${names.checkpoints} WHERE subscription = ${quoted}`
      ))
    }
    return orOk(found, name, "none has stopped, and no event was set aside")
  })
}
