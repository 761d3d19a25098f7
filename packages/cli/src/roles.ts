/** `zakops roles`: the SQL of the roles with least privilege, printed, or applied to DATABASE_URL. */
import { applyRoles, rolesScript } from "@zakops/migrations/roles"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { tellProblems } from "./Problem.ts"
import { withTables } from "./withDatabase.ts"

const apply = Flag.Boolean("apply").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Make them in DATABASE_URL instead of printing the SQL")
)

const print = tellProblems("")(Effect.flatMap(rolesScript, (script) => Console.log(script.trimEnd())))

const make = withTables((shown) =>
  Effect.gen(function*() {
    const { emitter, reader, worker } = yield* applyRoles
    yield* Console.log(`${shown} has the roles ${emitter}, ${worker} and ${reader}: grant them to those who log in`)
  })
)

export const command = Command.make("roles", { apply }, ({ apply }) => apply ? make : print).pipe(
  Command.withDescription(
    "Roles that may do no more than they need: emitter, worker, reader. Run it again after migrate"
  )
)
