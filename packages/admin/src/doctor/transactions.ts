/** Transactions that stay open: vacuum takes nothing away behind them, and no subscription reads past one that has written. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, span } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "transactions"

export const transactions: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql }, limits }) {
    // One that has written holds up subscriptions in every database of the server. A scheduler's or a subscription's process counts as well;
    // vacuum stands in nobody's way, a parallel worker has the transaction of its leader, and who reads by replication has checks of his own.
    const open = yield* sql<
      {
        pid: number
        user: string
        application: string
        database: string
        state: string
        seconds: number
        writes: boolean
      }
    >`
      SELECT pid, coalesce(usename, '')::text AS user, CASE backend_type WHEN 'client backend' THEN coalesce(application_name, '') ELSE backend_type END AS application,
        coalesce(datname, '')::text AS database, coalesce(state, '') AS state,
        extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds, backend_xid IS NOT NULL AS writes
      FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND backend_type NOT IN ('autovacuum worker', 'parallel worker', 'walsender')
        AND (datname = current_database() OR backend_xid IS NOT NULL)
        AND xact_start < clock_timestamp() - ${limits.transactionSeconds}::float8 * interval '1 second'
      ORDER BY xact_start LIMIT 10`
    const found: Array<Finding> = open.map(({ application, database, pid, seconds, state, user, writes }) =>
      finding(
        name,
        writes ? "serious" : "warning",
        writes
          ? `a transaction that has written is open for ${span(seconds)}: no subscription reads past it`
          : `a transaction is open for ${span(seconds)}: vacuum takes nothing away behind it`,
        `process ${pid} of ${user}${application === "" ? "" : ` (${application})`} in ${database}, ${state}`,
        state.startsWith("idle in transaction")
          ? `SELECT pg_terminate_backend(${pid}); ALTER DATABASE ... SET idle_in_transaction_session_timeout = '60s' keeps it from coming again`
          : `SELECT pg_cancel_backend(${pid}), or pg_terminate_backend(${pid}) where that does nothing`
      )
    )
    const [sees] = yield* sql<{ all: boolean; user: string }>`
      SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS all, current_user::text AS user`
    if (sees?.all === false) {
      found.push(finding(
        name,
        "notice",
        "the transactions of other users cannot be seen",
        `${sees.user} is no member of pg_monitor`,
        `GRANT pg_monitor TO "${sees.user}"`
      ))
    }
    return orOk(found, name, `no transaction is open for more than ${span(limits.transactionSeconds)}`)
  })
}
