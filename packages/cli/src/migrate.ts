/** `zakops migrate`: brings the tables to the newest version. Safe to run at any time, by any number of processes. */
import { migrate } from "@zakops/migrations/Migrations"
import { migrationScript, pendingMigrations } from "@zakops/migrations/plan"
import { schemaName } from "@zakops/migrations/SchemaName"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { json } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { misuse, tellProblems } from "./Problem.ts"
import { withTime } from "./progress.ts"
import { withDatabase } from "./withDatabase.ts"

const run = (asJson: boolean) =>
  withDatabase((shown) =>
    Effect.gen(function*() {
      const schema = yield* schemaName
      const applied = yield* withTime("migrating")(migrate)
      if (asJson) return yield* Console.log(toJson({ schema, applied: applied.map(([id, name]) => ({ id, name })) }))
      for (const [id, name] of applied) yield* Console.log(`applied ${id} ${name}`)
      yield* Console.log(`the tables in schema ${schema} of ${shown} are up to date`)
    })
  )

const preview = (asJson: boolean) =>
  withDatabase((shown) =>
    Effect.gen(function*() {
      const schema = yield* schemaName
      const pending = yield* pendingMigrations
      if (asJson) {
        return yield* Console.log(
          toJson({ dryRun: true, schema, pending: pending.map(({ id, name }) => ({ id, name })) })
        )
      }
      for (const { id, name } of pending) yield* Console.log(`would apply ${id} ${name}`)
      yield* Console.log(
        pending.length === 0
          ? `the tables in schema ${schema} of ${shown} are up to date`
          : `nothing was changed in ${shown}`
      )
    })
  )

/** Of what the database lacks; where DATABASE_URL is not set, of everything. */
const print = Effect.gen(function*() {
  const given = yield* Effect.orDie(Config.String("DATABASE_URL").pipe(Config.withDefault("")))
  const show = (script: string) => Console.log(script.trimEnd())
  if (given.trim() === "") return yield* tellProblems("")(Effect.flatMap(migrationScript(), show))
  return yield* withDatabase(() =>
    Effect.gen(function*() {
      const pending = yield* pendingMigrations
      yield* show(pending.length === 0 ? "-- the tables are up to date" : yield* migrationScript(pending))
    })
  )
})

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Only say which versions would be applied")
)
const sql = Flag.Boolean("sql").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Print the SQL instead: of what DATABASE_URL lacks, or of all versions where it is not set")
)

export const command = Command.make(
  "migrate",
  { dryRun, sql, json },
  ({ dryRun, json, sql }) => {
    if (sql && (dryRun || json)) {
      return tellProblems("")(misuse(`give --sql or ${dryRun ? "--dry-run" : "--json"}, not both`))
    }
    return sql ? print : dryRun ? preview(json) : run(json)
  }
).pipe(
  Command.withDescription("Create the tables in DATABASE_URL, or bring them to the newest version")
)
