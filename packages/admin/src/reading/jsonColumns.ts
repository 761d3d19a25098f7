/**
 * An event's JSON as text, of the outbox as `o` or the log as `log`: what the driver parses loses the last digits of large numbers.
 *
 * `data` is NULL where it is larger than 1 MiB, which no page shows; `dataBytes` says how large. `headers` that large are left out.
 */
import type { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"

export const jsonColumns = (sql: SqlClient, of: "o" | "log"): Fragment => {
  const data = sql.literal(of === "o" ? "o.event_data" : "log.event_data")
  const headers = sql.literal(of === "o" ? "o.headers" : "log.headers")
  return sql`CASE WHEN octet_length(${data}::text) <= 1048576 THEN ${data}::text END AS data,
    coalesce(octet_length(${data}::text), 0) AS "dataBytes",
    CASE WHEN octet_length(${headers}::text) <= 1048576 THEN ${headers}::text ELSE '{}' END AS headers`
}
