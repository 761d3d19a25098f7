/** Transactions of two-phase commit that nobody has finished: they hold locks and old rows across restarts. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, span } from "./Check.ts"

const name = "prepared transactions"

export const prepared: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql }, limits }) {
    const rows = yield* sql<{ gid: string; quoted: string; owner: string; database: string; seconds: number }>`
      SELECT gid, quote_literal(gid) AS quoted, owner::text AS owner, database::text AS database,
        extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
      FROM pg_prepared_xacts
      WHERE prepared < clock_timestamp() - ${limits.transactionSeconds}::float8 * interval '1 second'
      ORDER BY prepared LIMIT 10`
    return orOk(
      rows.map(({ database, gid, owner, quoted, seconds }) =>
        finding(
          name,
          "serious",
          `the transaction ${gid} was prepared ${span(seconds)} ago and never finished`,
          `by ${owner} in ${database}: no subscription reads past it, and vacuum takes nothing away behind it`,
          `In database ${database}: COMMIT PREPARED ${quoted}, or ROLLBACK PREPARED ${quoted}, whichever its coordinator has decided`
        )
      ),
      name,
      "none is left unfinished"
    )
  })
}
