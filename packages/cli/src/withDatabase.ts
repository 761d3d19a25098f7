/** Runs a command on the database of DATABASE_URL, and tells its problems in one line. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import { requireMigrated } from "@zakops/migrations/Migrations"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { databaseUrl, layerClient } from "./Database.ts"
import type { Known } from "./Problem.ts"
import { tellProblems } from "./Problem.ts"

/** `self` is given the database as it may be shown, without its password. */
export const withDatabase = <A, E extends Known>(self: (shown: string) => Effect.Effect<A, E, PgClient | SqlClient>) =>
  Effect.gen(function*() {
    const { shown, url } = yield* tellProblems("")(databaseUrl)
    return yield* self(shown).pipe(Effect.provide(layerClient(url)), tellProblems(shown))
  })

/** As `withDatabase`, for what needs the tables at their newest version. */
export const withTables = <A, E extends Known>(self: (shown: string) => Effect.Effect<A, E, PgClient | SqlClient>) =>
  withDatabase((shown) => Effect.andThen(requireMigrated, self(shown)))
