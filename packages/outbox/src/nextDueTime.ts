/** How long until an entry falls due that is not due yet. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** By the database's clock; none when no entry waits for its time. One step into the index outbox_due. */
export const nextDueTime = ({ now, sql, table }: Database) =>
  Effect.gen(function*() {
    const time = yield* now
    const [next] = yield* sql<{ millis: number }>`
      SELECT (extract(epoch FROM next_attempt_at - ${time}) * 1000)::float8 AS millis FROM ${table.outbox}
      WHERE NOT finished
        AND coalesce(next_attempt_at, '-infinity'::timestamptz) > ${time}
        AND coalesce(next_attempt_at, '-infinity'::timestamptz) < 'infinity'
      ORDER BY coalesce(next_attempt_at, '-infinity'::timestamptz), seq
      LIMIT 1`
    return next === undefined ? Option.none<Duration.Duration>() : Option.some(Duration.millis(Math.ceil(next.millis)))
  })
