/** How far a subscription is behind the log. */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Cursor } from "./Cursor.ts"

export interface Lag {
  /** Events after the checkpoint, whether they pass its filter or not; counted up to 100,000. */
  readonly events: number
  /** The age of the first of them, in seconds; 0 where there is none. */
  readonly seconds: number
}

const mostCounted = 100_000

/** Walks the index agent_events_order from the cursor on. */
export const lagAfter = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(cursor: Cursor) {
    const time = yield* now
    const [row] = yield* sql<Lag>`
      SELECT
        (SELECT count(*)::float8 FROM (
          SELECT 1 FROM ${table.agentEvents} AS log WHERE (log.xid, log.position) > (${cursor.xid}::xid8, ${cursor.position})
          LIMIT ${mostCounted}::int
        ) AS waiting) AS events,
        coalesce((
          SELECT greatest(extract(epoch FROM ${time} - log.created_at), 0)::float8 FROM ${table.agentEvents} AS log
          WHERE (log.xid, log.position) > (${cursor.xid}::xid8, ${cursor.position}) ORDER BY log.xid, log.position LIMIT 1
        ), 0) AS seconds`
    return row ?? { events: 0, seconds: 0 }
  })

export const lagEvents = Metric.gauge("zakops.subscription.lag.events", {
  attributes: { unit: "{event}" },
  description: "Events of the log that a subscription has not handled yet, counted up to 100,000"
})
export const lagSeconds = Metric.gauge("zakops.subscription.lag", {
  attributes: { unit: "s" },
  description: "Age of the first event that a subscription has not handled yet"
})

/**
 * Sets the two metrics of the subscription every 5 s, for as long as it runs: on the process that holds the lease. To 0 when it ends, or
 * where there is no cursor because the subscription rests: what nobody handles is not behind.
 */
export const measureLag = (db: Database, subscription: string, cursor: () => Cursor | undefined) => {
  const measure = lagAfter(db)
  const set = ({ events, seconds }: Lag) =>
    Effect.all([
      Metric.update(Metric.withAttributes(lagEvents, { subscription }), events),
      Metric.update(Metric.withAttributes(lagSeconds, { subscription }), seconds)
    ], { discard: true })
  const none = { events: 0, seconds: 0 }
  return Effect.suspend(() => {
    const at = cursor()
    return at === undefined ? Effect.succeed(none) : measure(at)
  }).pipe(
    Effect.flatMap(set),
    Effect.catch((error) =>
      Effect.logDebug(`the lag of ${subscription} was not measured: ${SqlErrors.serverText(error)}`)
    ),
    Effect.andThen(Effect.sleep("5 seconds")),
    Effect.forever,
    Effect.ensuring(set(none))
  )
}
