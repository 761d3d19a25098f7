/** How long until an entry falls due that is not due yet, or reaches its deadline. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { dueTime } from "./Selection.ts"

/** By the database's clock; none when nothing waits for its time. One step into outbox_due, outbox_due_keyed and outbox_expiring. */
export const nextDueTime = ({ now, sql, table }: Database) =>
  Effect.gen(function*() {
    const time = yield* now
    const due = sql.literal(dueTime)
    const next = (which: "IS NULL" | "IS NOT NULL") =>
      sql`(SELECT next_attempt_at FROM ${table.outbox}
        WHERE NOT finished AND waits_for IS NULL AND ordering_key ${
        sql.literal(which)
      } AND ${due} > ${time} AND ${due} < 'infinity'
        ORDER BY ${due}, seq LIMIT 1)`
    const deadline = sql`(SELECT expires_at FROM ${table.outbox} WHERE NOT finished AND expires_at > ${time}
      AND expires_at < 'infinity' ORDER BY expires_at LIMIT 1)`
    const [row] = yield* sql<{ millis: number | null }>`
      SELECT (extract(epoch FROM least(${next("IS NULL")}, ${
      next("IS NOT NULL")
    }, ${deadline}) - ${time}) * 1000)::float8 AS millis`
    return Option.map(Option.fromNullishOr(row?.millis), (millis) => Duration.millis(Math.max(1, Math.ceil(millis))))
  })
