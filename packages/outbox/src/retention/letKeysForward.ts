/**
 * Lets forward whatever first entry of an ordering key was set aside and forgotten: where somebody has finished or deleted the one before
 * it by plain SQL, nobody else would.
 *
 * Changes nothing where all goes well, and never waits: a first entry that is locked is being looked after.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { pause } from "./inBatches.ts"
import type { Turn } from "./TaskLease.ts"

const keysAtOnce = 500

/**
 * The keys after `after`, and the ids of their first open entries that are set aside. Skips from key to key through the index outbox_key:
 * two steps for each, however many entries it has.
 */
const nextKeys = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*(after: string | undefined) {
    const open = sql`ordering_key IS NOT NULL AND (NOT finished OR blocks)`
    const columns = sql`ordering_key, seq, id, waits_for`
    const from = after === undefined ? sql`` : sql`AND ordering_key > ${after}`
    const [found] = yield* sql<{ count: number; last: string | null; aside: ReadonlyArray<string> | null }>`
      WITH RECURSIVE first AS (
        (SELECT ${columns}, 1 AS n FROM ${table.outbox} WHERE ${open} ${from} ORDER BY ordering_key, seq LIMIT 1)
        UNION ALL
        SELECT next.*, first.n + 1 FROM first CROSS JOIN LATERAL (
          SELECT ${columns} FROM ${table.outbox} o WHERE ${open} AND o.ordering_key > first.ordering_key
          ORDER BY o.ordering_key, o.seq LIMIT 1
        ) AS next
        WHERE first.n < ${keysAtOnce}::int
      )
      SELECT count(*)::int AS count, max(ordering_key) AS last, array_agg(id) FILTER (WHERE waits_for = 'key') AS aside
      FROM first`
    return found
  })

const forward = ({ sql, table }: Database) => (ids: ReadonlyArray<string>) =>
  sql`UPDATE ${table.outbox} SET waits_for = NULL WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM ${table.outbox} WHERE id = ANY (${ids}::uuid[]) AND waits_for = 'key' FOR UPDATE SKIP LOCKED))
    RETURNING 1`

/** Goes through all keys, `keysAtOnce` at a time, and gives how many it has let forward. */
export const letKeysForward = (db: Database) => {
  const next = nextKeys(db)
  const letGo = forward(db)
  return Effect.fnUntraced(function*(turn: Turn) {
    let total = 0
    let after: string | undefined
    while (true) {
      const found = yield* turn.step(Effect.gen(function*() {
        const keys = yield* next(after)
        const aside = keys?.aside ?? []
        if (aside.length > 0) total += (yield* letGo(aside)).length
        return keys
      }))
      if (found === undefined || found.last === null || found.count < keysAtOnce) return total
      after = found.last
      yield* Effect.sleep(pause)
    }
  })
}
