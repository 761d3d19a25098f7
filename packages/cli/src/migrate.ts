/** `zakops migrate`: brings the tables to the newest version. Safe to run at any time, by any number of processes. */
import { migrate } from "@zakops/migrations/Migrations"
import { schemaName } from "@zakops/migrations/SchemaName"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { withDatabase } from "./withDatabase.ts"

const run = withDatabase((shown) =>
  Effect.gen(function*() {
    const schema = yield* schemaName
    const applied = yield* migrate
    for (const [id, name] of applied) yield* Console.log(`applied ${id} ${name}`)
    yield* Console.log(`the tables in schema ${schema} of ${shown} are up to date`)
  })
)

export const command = Command.make("migrate", {}, () => run).pipe(
  Command.withDescription("Create the tables in DATABASE_URL, or bring them to the newest version")
)
