/** Forgets workers that went without a word, and samples that no chart shows any more. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"

/** Workers that were not seen for a minute, and samples older than a day, at most 10,000 of these at once. */
export const forgetWorkers = ({ now, sql, table }: Database) =>
  Effect.gen(function*() {
    const time = yield* now
    yield* sql`
      WITH gone AS (DELETE FROM ${table.workers} WHERE seen_at < ${time} - interval '1 minute')
      DELETE FROM ${table.samples} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ${table.samples} WHERE at < ${time} - interval '1 day' ORDER BY at LIMIT 10000 FOR UPDATE SKIP LOCKED))`
  })
