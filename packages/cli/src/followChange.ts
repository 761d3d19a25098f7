/** How far a change by hand has come: each keeps one audit row, which counts what was committed. */
import * as Database from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { isDrawn, withBar } from "./progress.ts"

/**
 * As `self`, which makes one change with this action, with a bar on a terminal. `by` has to be what the change is told. Another change of the
 * same kind by the same user at the same time would be counted as this one: the bar is all that is wrong then.
 */
export const followChange =
  (label: string, total: number, action: string, by: string) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      if (!isDrawn()) return yield* self
      const { sql, table } = yield* Database.make
      const [last] = yield* sql<{ id: bigint }>`SELECT coalesce(max(id), 0) AS id FROM ${table.audit}`
      const read = Effect.map(
        sql<{ count: number }>`SELECT count::float8 AS count FROM ${table.audit}
        WHERE id > ${last?.id ?? 0n}::bigint AND by = ${by} AND action = ${action} ORDER BY id LIMIT 1`,
        ([row]) => ({ label, done: row?.count ?? 0, total })
      )
      return yield* withBar(read)(self)
    })
