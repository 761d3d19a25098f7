/** What `migrate` would do: which versions are missing, and the same as a script for somebody who runs SQL by hand. Changes nothing. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Migration } from "./Migrations.ts"
import { migrations } from "./Migrations.ts"
import type { InvalidSchemaName } from "./SchemaName.ts"
import { tables } from "./SchemaName.ts"

/** The versions that `migrate` would apply, oldest first: those above the highest that was applied. */
export const pendingMigrations: Effect.Effect<ReadonlyArray<Migration>, SqlError | InvalidSchemaName, SqlClient> =
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const names = yield* tables
    const [table] = yield* sql<{ present: boolean }>`SELECT to_regclass(${names.migrations}) IS NOT NULL AS present`
    const [latest] = table?.present === true
      ? yield* sql<{ id: number }>`
        SELECT coalesce(max(migration_id), 0)::int AS id FROM ${sql.literal(names.migrations)}`
      : []
    return migrations.filter(({ id }) => id > (latest?.id ?? 0))
  })

/**
 * The statements of `chosen`, all versions unless given, in one transaction, ended by a semicolon and an empty line each; what was applied
 * is recorded as `migrate` does it.
 */
export const migrationScript = (
  chosen: ReadonlyArray<Migration> = migrations
): Effect.Effect<string, InvalidSchemaName> =>
  Effect.map(tables, (names) => {
    const recorded = chosen.map(({ id, name }) => `(${id}, '${name}')`).join(", ")
    return [
      "BEGIN",
      `CREATE SCHEMA IF NOT EXISTS ${names.schema}`,
      `CREATE TABLE IF NOT EXISTS ${names.migrations} (
  migration_id integer primary key,
  created_at timestamp with time zone not null default now(),
  name text not null
)`,
      ...chosen.flatMap(({ statements }) => statements(names)),
      `INSERT INTO ${names.migrations} (migration_id, name) VALUES ${recorded}`,
      "COMMIT"
    ].map((statement) => `${statement};\n\n`).join("")
  })
