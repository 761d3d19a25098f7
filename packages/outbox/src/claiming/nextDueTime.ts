/** How long until an entry falls due that was not due at the last look, or any reaches its deadline. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { keepText } from "../connecting/keptText.ts"
import { dueTime, goingTo } from "./Selection.ts"

/** `lookedAgo` is how many milliseconds ago that was. By the database's clock; none when nothing waits for its time. One step into each of the two indexes of what falls due, and into outbox_expiring. */
export const nextDueTime = (db: Database, route: string | null) => {
  const { now, sql, table } = db
  const kept = keepText(db)
  return Effect.fnUntraced(function*(lookedAgo: number) {
    const time = yield* now
    const due = sql.literal(dueTime)
    const next = (which: "IS NULL" | "IS NOT NULL") =>
      sql`(SELECT next_attempt_at FROM ${table.outbox}
        WHERE NOT finished AND waits_for IS NULL AND ordering_key ${sql.literal(which)} AND ${goingTo(db, route)}
          AND ${due} > ${time} - ${lookedAgo}::float8 * interval '1 millisecond' AND ${due} < 'infinity'
        ORDER BY ${due}, seq LIMIT 1)`
    const deadline = sql`(SELECT expires_at FROM ${table.outbox} WHERE NOT finished AND expires_at > ${time}
      AND expires_at < 'infinity' ORDER BY expires_at LIMIT 1)`
    const [row] = yield* kept.rows(sql<{ millis: number | null }>`
      SELECT (extract(epoch FROM least(${next("IS NULL")}, ${
      next("IS NOT NULL")
    }, ${deadline}) - ${time}) * 1000)::float8 AS millis`)
    return Option.map(Option.fromNullishOr(row?.millis), (millis) => Duration.millis(Math.max(1, Math.ceil(millis))))
  })
}
