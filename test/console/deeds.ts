/** What is changed by hand, as the database has it afterwards. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { putEntries } from "./putEntries.ts"

/** The latest row of the audit. */
export const lastDeed = Effect.gen(function*() {
  const sql = yield* SqlClient
  const [deed] = yield* sql`SELECT action, filter, count::int AS count FROM zakops.audit ORDER BY id DESC LIMIT 1`
  return deed
})

/** How many entries of a type are in which status. */
export const statusesOf = Effect.fnUntraced(function*(type: string) {
  const sql = yield* SqlClient
  return yield* sql`
    SELECT status, (discarded_at IS NOT NULL) AS discarded, count(*)::int AS count FROM zakops.outbox WHERE event_type = ${type}
    GROUP BY 1, 2 ORDER BY 1, 2`
})

/** Dead letters of a type, each with an error of its own. */
export const putDead = (type: string, count: number) =>
  putEntries(Array.from({ length: count }, (_, n) => ({ type, status: "dead", error: `no. ${n} of ${type}` }) as const))
