/**
 * What reads this server by replication and has no slot, and by its feedback keeps vacuum from taking rows away: a standby with
 * `hot_standby_feedback` and a long query, or the first copy of a subscription. Of one with a slot, the slot tells it: see `replication.ts`.
 */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, transactionsAgo } from "./Check.ts"

const name = "standbys"

/** What to do about the query for which a standby has rows kept. */
export const endLongQueries =
  "On the standby: SELECT pid, xact_start, state, query FROM pg_stat_activity WHERE backend_xmin IS NOT NULL ORDER BY xact_start; and " +
  "pg_terminate_backend(pid) for the oldest. With hot_standby_feedback = off there, its long queries are cancelled instead"

export const standbys: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql }, limits }) {
    // Who may not see its address and state sees at least what it holds back.
    const rows = yield* sql<{ standby: string; pid: number; state: string | null; age: number | null }>`
      SELECT concat_ws(' at ', nullif(application_name, ''), host(client_addr)) AS standby, pid, state, age(backend_xmin)::float8 AS age
      FROM pg_stat_replication ORDER BY age(backend_xmin) DESC NULLS LAST LIMIT 10`
    const found = rows.flatMap(({ age, pid, standby, state }) =>
      age === null || age < limits.heldTransactions ? [] : [finding(
        name,
        "warning",
        `${standby === "" ? `process ${pid}` : standby} reads by replication and holds back vacuum`,
        `it may still see what was deleted or replaced since ${transactionsAgo(age)}; process ${pid}${
          state === null ? "" : `, ${state}`
        }`,
        state === "startup"
          ? `A subscription that copies its tables ends by itself; where it does not: SELECT pg_terminate_backend(${pid})`
          : endLongQueries
      )]
    )
    return orOk(found, name, rows.length === 0 ? "there are none" : "none holds back vacuum")
  })
}
