/** Whether the database answers, takes writes, and has connections left. */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Check } from "./Check.ts"
import { finding, orOk } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "connection"

/** What to do, by what the server or the network says. */
const remedy = (error: SqlError): string => {
  const state = SqlErrors.sqlState(error)
  if (state === undefined) {
    return "Look whether the server runs and whether host and port of DATABASE_URL are right: psql \"$DATABASE_URL\" -c 'SELECT 1'"
  }
  if (state.startsWith("28")) return "Correct user and password in DATABASE_URL, or the server's pg_hba.conf"
  if (state === "3D000") return "Create the database (createdb), or correct its name at the end of DATABASE_URL"
  if (state === "53300") {
    return "Raise max_connections, lower OUTBOX_POOL_SIZE and the programs' pools, or put a pooler in between"
  }
  return "Look into the server's log for what it says at this time"
}

export const cannotBeReached = "the database cannot be reached"

/** What is found where nothing can be asked. */
export const unreachable = (error: SqlError): Finding =>
  finding(name, "serious", cannotBeReached, SqlErrors.serverText(error), remedy(error))

export const connection: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { sql } }) {
    const [server] = yield* sql<{ readOnly: boolean; standby: boolean; most: number; used: number; user: string }>`
      SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS "readOnly",
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
        (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS used, current_user::text AS user`
    if (server === undefined) return []
    const { most, readOnly, standby, used, user } = server
    const found: Array<Finding> = []
    if (standby || readOnly) {
      found.push(finding(
        name,
        "serious",
        standby ? "this is a standby: nothing can be written" : "this database is read-only",
        standby ? "pg_is_in_recovery() is true" : "default_transaction_read_only is on",
        standby
          ? "Give the address of the primary in DATABASE_URL"
          : "ALTER DATABASE ... RESET default_transaction_read_only (also look at ALTER ROLE ... SET)"
      ))
    }
    if (used >= most * 0.9) {
      found.push(finding(
        name,
        used >= most ? "serious" : "warning",
        "the server has hardly any connections left",
        `${used} of ${most} are in use`,
        "Raise max_connections, lower OUTBOX_POOL_SIZE and the programs' pools, or put a pooler in between (OUTBOX_POOLER=transaction, with DIRECT_URL)"
      ))
    }
    return orOk(
      found,
      name,
      "the database answers and takes writes",
      `as ${user}; ${used} of ${most} connections in use`
    )
  })
}
