/** `--dry-run`: how many dead letters are meant, and of which kind. Changes nothing. */
import type { DeadSelection } from "@zakops/outbox"
import { DeadLetters } from "@zakops/outbox"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { groupsTable } from "./table.ts"

export const previewDead = Effect.fnUntraced(function*(selection: DeadSelection, asJson: boolean) {
  const dead = yield* DeadLetters
  const filter = selection === "all" ? {} : selection
  const matching = yield* dead.count(filter)
  const types = yield* dead.groups("type", filter)
  const errors = yield* dead.groups("error", filter)
  if (asJson) return yield* Console.log(JSON.stringify({ dryRun: true, matching, types, errors }, undefined, 2))
  yield* Console.log(`${matching} entries are meant; nothing was changed`)
  if (matching === 0) return
  yield* Console.log(`\n${groupsTable("type", types)}`)
  yield* Console.log(`\n${groupsTable("error", errors)}`)
  yield* Console.log(
    "\nThey were not decoded: this command knows no event definitions. DeadLetters.dryRun does it in a program that has them."
  )
})
