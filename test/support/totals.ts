/** A read model for tests: the total of each counter, and how many events made it. Doubling or losing an event shows in it. */
import * as Projection from "@zakops/event-store/Projection"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Added, Taken } from "./counter.ts"

export const makeTotalsTable = (table: string) =>
  Effect.flatMap(
    SqlClient,
    (sql) =>
      sql`CREATE TABLE IF NOT EXISTS ${sql(table)} (id text PRIMARY KEY, total int NOT NULL, events int NOT NULL)`
  )

const count = (table: string, id: string | null, by: number) =>
  Effect.flatMap(SqlClient, (sql) =>
    sql`INSERT INTO ${sql(table)} AS t VALUES (${id}, ${by}, 1)
      ON CONFLICT (id) DO UPDATE SET total = t.total + ${by}, events = t.events + 1`)

export const totalsIn = (table: string, version = 1, more: { readonly onFailure?: "stop" | "park" } = {}) =>
  Projection.make({
    name: "totals",
    version,
    handlers: [
      Projection.on(Added, ({ data, envelope }) => count(table, envelope.aggregateId, data.by)),
      Projection.on(Taken, ({ data, envelope }) => count(table, envelope.aggregateId, -data.by))
    ],
    reset: Effect.flatMap(SqlClient, (sql) => sql`TRUNCATE ${sql(table)}`),
    onLive: Effect.flatMap(SqlClient, (sql) => sql`CREATE OR REPLACE VIEW totals_now AS SELECT * FROM ${sql(table)}`),
    ...more
  })

export const totals = totalsIn("totals")

/** A projection of its own for each table: several may run at the same time. */
export const totalsAt = (table: string) => ({ ...totalsIn(table), name: table, onLive: undefined })

/** What the read model is to be: the fold of the whole log. */
export const foldOfLog = Effect.flatMap(SqlClient, (sql) =>
  sql<{ id: string; total: number; events: number }>`
    SELECT aggregate_id AS id, sum(CASE event_type WHEN 'counter.added' THEN 1 ELSE -1 END * (event_data->>'by')::int)::int AS total,
      count(*)::int AS events
    FROM zakops.agent_events WHERE event_type IN ('counter.added', 'counter.taken') GROUP BY aggregate_id ORDER BY id`)

export const rowsOf = (table: string) =>
  Effect.flatMap(
    SqlClient,
    (sql) => sql<{ id: string; total: number; events: number }>`SELECT id, total, events FROM ${sql(table)} ORDER BY id`
  )
