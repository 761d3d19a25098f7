/** Whether the tables are there, at the version that this build needs. */
import { migrations } from "@zakops/migrations/Migrations"
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, ok, some } from "./Check.ts"

const name = "migrations"

export const migrated: Check = {
  name,
  needs: "server",
  look: Effect.fnUntraced(function*({ db: { schema, sql, table }, names }) {
    const [found] = yield* sql<{ present: boolean; elsewhere: string | null }>`
      SELECT to_regclass(${names.migrations}) IS NOT NULL AS present,
        (SELECT string_agg(n.nspname, ', ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relname = 'outbox_attempts' AND n.nspname <> ${schema}) AS elsewhere`
    if (found?.present !== true) {
      const elsewhere = found?.elsewhere ?? null
      return [finding(
        name,
        "serious",
        `there are no tables in schema ${schema}`,
        elsewhere === null ? "this database was not migrated" : `there are some in schema ${elsewhere}`,
        elsewhere === null ? "zakops migrate" : `Set OUTBOX_SCHEMA to the schema that is meant, or run: zakops migrate`
      )]
    }
    const rows = yield* sql<{ id: number }>`SELECT migration_id::int AS id FROM ${table.migrations}`
    const applied = new Set(rows.map(({ id }) => id))
    const missing = migrations.filter(({ id }) => !applied.has(id))
    const newest = Math.max(...migrations.map(({ id }) => id))
    if (missing.length > 0) {
      return [finding(
        name,
        "serious",
        `the tables in schema ${schema} are older than this build`,
        `missing: ${some(missing.map((one) => `${one.id} ${one.name}`))}`,
        "zakops migrate (zakops migrate --dry-run shows what it would do)"
      )]
    }
    const beyond = [...applied].filter((id) => id > newest)
    return beyond.length > 0
      ? [finding(
        name,
        "notice",
        `the tables in schema ${schema} are newer than this build`,
        `version ${Math.max(...beyond)}, and this build knows ${newest}: newer builds are at work, or were`,
        "Deploy the newer build here too"
      )]
      : ok(name, `the tables in schema ${schema} are at version ${newest}`)
  })
}
