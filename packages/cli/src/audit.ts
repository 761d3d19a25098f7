/** `zakops audit`: who has changed what by hand. */
import { Audit } from "@zakops/admin/Audit"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { json } from "./deadFilter.ts"
import { after, limit } from "./paging.ts"
import { toJson } from "./json.ts"
import { asTable, shortened, when } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const by = Flag.String("by").pipe(Flag.optional, Flag.withDescription("What this user did"))
const action = Flag.String("action").pipe(
  Flag.optional,
  Flag.withDescription("Only this: redrive, discard, unblock, pause, resume, purge, ...")
)

export const command = Command.make(
  "audit",
  { by, action, limit, after, json },
  (given) =>
    withTables(() =>
      Effect.gen(function*() {
        const { list } = yield* Audit
        const filter = { by: Option.getOrUndefined(given.by), action: Option.getOrUndefined(given.action) }
        const page = yield* list(filter, { limit: given.limit, after: Option.getOrUndefined(given.after) })
        if (given.json) return yield* Console.log(toJson(page))
        if (page.items.length === 0) return yield* Console.log("nothing of that kind was done")
        yield* Console.log(asTable(
          ["at", "by", "action", "count", "what"],
          page.items.map((deed) => [when(deed.at), deed.by, deed.action, String(deed.count), shortened(deed.filter)])
        ))
        if (page.next !== null) yield* Console.log(`\nthose before them: --after ${page.next}`)
      }).pipe(Effect.provide(Audit.layer))
    )
).pipe(Command.withDescription("Who has changed what by hand, latest first"))
