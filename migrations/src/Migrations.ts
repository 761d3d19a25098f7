/**
 * Brings the tables of ZakOps to the newest version, and tells whether they are there.
 *
 * Any number of processes may start it at once, and any number of times: one runs, the others wait for it and find nothing to do. All
 * pending versions are applied in one transaction, so that a failure leaves the database as it was.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as first from "./0001_outbox_inbox_and_log.ts"
import * as second from "./0002_event_sourcing.ts"
import * as third from "./0003_delivery.ts"
import * as fourth from "./0004_destinations_and_workers.ts"
import * as fifth from "./0005_room_for_the_claim.ts"
import * as sixth from "./0006_order_of_the_parked.ts"
import type { InvalidSchemaName, Tables } from "./SchemaName.ts"
import { schemaName, tables } from "./SchemaName.ts"

/** A version of the tables: its statements run in order, one at a time. */
export interface Migration {
  readonly id: number
  readonly name: string
  readonly statements: (tables: Tables) => ReadonlyArray<string>
}

/** All versions, oldest first. A version that was released is never changed. */
export const migrations: ReadonlyArray<Migration> = [
  { id: 1, name: "outbox_inbox_and_log", statements: first.statements },
  { id: 2, name: "event_sourcing", statements: second.statements },
  { id: 3, name: "delivery", statements: third.statements },
  { id: 4, name: "destinations_and_workers", statements: fourth.statements },
  { id: 5, name: "room_for_the_claim", statements: fifth.statements },
  { id: 6, name: "order_of_the_parked", statements: sixth.statements }
]

const newest = Math.max(...migrations.map((migration) => migration.id))

/** The tables are missing or older than this build needs. */
export class NotMigrated extends Schema.TaggedError<NotMigrated>()("NotMigrated", {
  schema: Schema.String,
  found: Schema.Int,
  needed: Schema.Int
}) {
  override get message() {
    return `the tables in schema ${this.schema} are at version ${this.found} and version ${this.needed} is needed: ` +
      `run "zakops migrate"`
  }
}

/** The database is older than 14, the first version whose transaction ids and statements this product relies on. */
export class UnsupportedPostgres extends Schema.TaggedError<UnsupportedPostgres>()("UnsupportedPostgres", {
  version: Schema.String
}) {
  override get message() {
    return `Postgres ${this.version} is too old: version 14 or later is needed`
  }
}

// Any number will do, as long as every version of this product takes the same: the first bytes of "zakops".
const migrationLock = "8385826345968"

/**
 * Applies every version that is missing and returns them as `[id, name]`. Runs in a transaction of its own (in a savepoint when one
 * is open) and holds an advisory lock in it, so that starters wait for each other.
 */
export const migrate: Effect.Effect<
  ReadonlyArray<readonly [id: number, name: string]>,
  SqlError | Migrator.MigrationError | InvalidSchemaName | UnsupportedPostgres,
  SqlClient
> = Effect.gen(function*() {
  const sql = yield* SqlClient
  const names = yield* tables
  const schema = yield* schemaName
  const [server] = yield* sql<{ number: number; version: string }>`
    SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version`
  if (server !== undefined && server.number < 140000) {
    return yield* new UnsupportedPostgres({ version: server.version })
  }
  const loader = Migrator.fromRecord(Object.fromEntries(migrations.map((migration) => [
    `${migration.id}_${migration.name}`,
    Effect.forEach(migration.statements(names), (statement) => sql.unsafe(statement), { discard: true })
  ])))
  return yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`SELECT pg_advisory_xact_lock(${migrationLock}::bigint)`
    yield* sql`CREATE SCHEMA IF NOT EXISTS ${sql.literal(names.schema)}`
    return yield* Migrator.make({})({ loader, table: `${schema}.migrations` })
  }))
}).pipe(Effect.withSpan("Migrations.migrate"))

/** Fails with `NotMigrated` unless the tables are at the version that this build needs. */
export const requireMigrated: Effect.Effect<void, SqlError | InvalidSchemaName | NotMigrated, SqlClient> = Effect.gen(
  function*() {
    const sql = yield* SqlClient
    const names = yield* tables
    const schema = yield* schemaName
    const [table] = yield* sql<{ present: boolean }>`SELECT to_regclass(${names.migrations}) IS NOT NULL AS present`
    const [latest] = table?.present === true
      ? yield* sql<{ id: number }>`
        SELECT coalesce(max(migration_id), 0)::int AS id FROM ${sql.literal(names.migrations)}`
      : []
    const found = latest?.id ?? 0
    if (found < newest) return yield* new NotMigrated({ schema, found, needed: newest })
  }
)
