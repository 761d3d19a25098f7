/** Whether dead rows are taken away in time, and transaction ids are not about to run out. */
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, orOk, some, span } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "vacuum"

export const vacuum: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*({ db: { schema, sql }, limits, names }) {
    const [server] = yield* sql<{ on: boolean; counts: boolean; freeze: number }>`
      SELECT current_setting('autovacuum') = 'on' AS on, current_setting('track_counts') = 'on' AS counts,
        current_setting('autovacuum_freeze_max_age')::float8 AS freeze`
    const tables = yield* sql<
      { table: string; dead: number; live: number; age: number; off: boolean; since: number | null }
    >`
      SELECT c.relname AS table, coalesce(s.n_dead_tup, 0)::float8 AS dead, coalesce(s.n_live_tup, 0)::float8 AS live,
        age(c.relfrozenxid)::float8 AS age, coalesce(c.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off'], false) AS off,
        extract(epoch FROM clock_timestamp() - greatest(s.last_autovacuum, s.last_vacuum))::float8 AS since
      FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
      WHERE c.relnamespace = to_regnamespace(${names.schema}) AND c.relkind = 'r' ORDER BY c.relname`
    const found: Array<Finding> = []
    if (server?.on === false || server?.counts === false) {
      found.push(finding(
        name,
        "serious",
        "autovacuum is switched off on the server",
        `autovacuum is ${server.on ? "on" : "off"}, track_counts ${
          server.counts ? "on" : "off"
        }: claiming slows down with each delivery`,
        "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()"
      ))
    }
    const off = tables.filter((table) => table.off).map(({ table }) => table)
    if (off.length > 0) {
      found.push(finding(
        name,
        "warning",
        "autovacuum is switched off for tables of the outbox",
        some(off),
        off.map((table) => `ALTER TABLE "${schema}"."${table}" RESET (autovacuum_enabled)`).join("; ")
      ))
    }
    for (const { dead, live, since, table } of tables) {
      if (dead < limits.deadRows || dead < limits.deadShare * (dead + live)) continue
      found.push(finding(
        name,
        "warning",
        `${table} is full of dead rows`,
        `${Math.round(dead)} dead beside ${Math.round(live)} live, last vacuumed ${
          since === null ? "never" : `${span(since)} ago`
        }; vacuum takes away none that an old transaction, prepared transaction or replication slot may still see`,
        `VACUUM (ANALYZE) "${schema}"."${table}"`
      ))
    }
    const old = tables.filter(({ age }) => age > (server?.freeze ?? 2e8) * 1.5)
    if (old.length > 0) {
      const oldest = Math.max(...old.map(({ age }) => age))
      found.push(finding(
        name,
        oldest > 1.5e9 ? "serious" : "warning",
        "old transaction ids are not frozen in time",
        `${some(old.map(({ table }) => table))}: ${
          Math.round(oldest / 1e6)
        } million transactions old; at 2,000 million the server takes no more writes`,
        old.map(({ table }) => `VACUUM (FREEZE) "${schema}"."${table}"`).join("; ")
      ))
    }
    return orOk(found, name, "autovacuum keeps up")
  })
}
