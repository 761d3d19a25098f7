/** The subscriptions and how far behind the log they are, by the indexes of the log and of what is parked. */
import { mostParked } from "@zakops/event-store/ProjectionCatalog"
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Consumer } from "../api/consumers.ts"
import { byIndex, mostCounted, toCount } from "./counting.ts"
import { toTime, toTimeOr } from "./rowValues.ts"

interface Row {
  readonly subscription: string
  readonly position: string
  readonly newest: string
  readonly events: number
  readonly seconds: number
  readonly parked: number
  readonly runner: string | null
  readonly leaseUntil: unknown
  readonly updatedAt: unknown
}

export const readConsumers = (db: Database) => {
  const { now, sql, table } = db
  const rows = Effect.gen(function*() {
    const time = yield* now
    return yield* sql<Row>`
      SELECT checkpoint.subscription, checkpoint.position::text AS position,
        coalesce((SELECT log.position FROM ${table.agentEvents} AS log ORDER BY log.xid DESC, log.position DESC LIMIT 1), 0)::text AS newest,
        (SELECT count(*)::int FROM (
          SELECT 1 FROM ${table.agentEvents} AS log WHERE (log.xid, log.position) > (checkpoint.xid, checkpoint.position)
          ORDER BY log.xid, log.position LIMIT ${mostCounted}::int) AS waiting) AS events,
        coalesce((
          SELECT greatest(extract(epoch FROM ${time} - least(log.created_at, ${time})), 0)::float8 FROM ${table.agentEvents} AS log
          WHERE (log.xid, log.position) > (checkpoint.xid, checkpoint.position) ORDER BY log.xid, log.position LIMIT 1
        ), 0) AS seconds,
        (SELECT count(*)::int FROM (
          SELECT 1 FROM ${table.parkedEvents} AS parked WHERE parked.subscription = checkpoint.subscription LIMIT ${mostParked}::int
        ) AS part) AS parked,
        CASE WHEN checkpoint.lease_until >= ${time} THEN checkpoint.runner END AS runner, checkpoint.lease_until AS "leaseUntil",
        checkpoint.updated_at AS "updatedAt"
      FROM ${table.checkpoints} AS checkpoint ORDER BY checkpoint.subscription`
  })
  return Effect.map(byIndex(db)(rows), (found) =>
    found.map((row): Consumer => {
      const position = BigInt(row.position)
      const newest = BigInt(row.newest)
      return {
        subscription: row.subscription,
        position,
        newest,
        // Positions have gaps: their difference is too much rather than too little.
        lag: {
          events: toCount(row.events, mostCounted, Number(newest - position)),
          seconds: Number.isFinite(row.seconds) ? row.seconds : 0
        },
        parked: toCount(row.parked, mostParked, null),
        runner: row.runner,
        leaseUntil: toTime(row.leaseUntil),
        updatedAt: toTimeOr(row.updatedAt, new Date(0))
      }
    }))
}
