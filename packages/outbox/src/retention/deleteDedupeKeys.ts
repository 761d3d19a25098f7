/** Deletes deduplication keys whose window is over: they keep nothing from being written any more. */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Batch } from "./inBatches.ts"

/**
 * One batch. A key that an open transaction has asked for is locked by it and stays, so that it can read which entry holds the key. Walks
 * the index dedupe_keys_until.
 */
export const deleteDedupeKeys = ({ now, sql, table }: Database): Batch =>
  Effect.fnUntraced(function*(after, limit) {
    const time = yield* now
    const [gone] = yield* sql<{ count: number; last: string | null }>`
      WITH gone AS (
        DELETE FROM ${table.dedupeKeys} WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table.dedupeKeys} WHERE until >= ${after}::timestamptz AND until <= ${time}
          ORDER BY until LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
        RETURNING until
      )
      SELECT count(*)::int AS count, max(until)::text AS last FROM gone`
    return gone
  })
