/** Work that one process does for all: who is at it, and what came of it the last time. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Task } from "../api/maintenance.ts"
import { toTime } from "./rowValues.ts"

interface Row {
  readonly name: string
  readonly runner: string | null
  readonly finishedAt: unknown
  readonly outcome: string | null
}

export const readTasks = ({ now, sql, table }: Database) =>
  Effect.gen(function*() {
    const time = yield* now
    const rows = yield* sql<Row>`
      SELECT name, CASE WHEN owner IS NOT NULL AND lease_until > ${time} THEN runner END AS runner, finished_at AS "finishedAt",
        outcome::text AS outcome
      FROM ${table.tasks} ORDER BY name`
    return rows.map(({ finishedAt, name, outcome, runner }): Task => ({
      name,
      runner,
      finishedAt: toTime(finishedAt),
      outcome
    }))
  })
