/** Migrates the database of DATABASE_URL: one of several processes that a test starts at once. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { migrate } from "@zakops/migrations/Migrations"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"

const applied = await Effect.runPromise(
  Effect.provide(migrate, PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
)
process.stdout.write(String(applied.length))
