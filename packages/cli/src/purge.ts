/** `zakops purge`: deletes what is old, once, beside what the retention settings delete by themselves. */
import { Purge } from "@zakops/admin/Purge"
import { PurgeKind } from "@zakops/admin/api/maintenance"
import type { Count } from "@zakops/admin/api/values"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { by, json, operator, toAge } from "./deadFilter.ts"
import { followChange } from "./followChange.ts"
import { toJson } from "./json.ts"
import { misuse } from "./Problem.ts"
import { withTables } from "./withDatabase.ts"

const kind = Argument.Literals("kind", PurgeKind.literals).pipe(
  Argument.withDescription(
    "delivered, dead (dead letters that nobody has redriven), discarded, or attempts (their history)"
  )
)
const olderThan = Flag.String("older-than").pipe(
  Flag.withDescription("At least this old: 90s, 15m, 2h, 7d")
)
const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Only say how many there are")
)

/** As the count is known: `about 1,200`, `at least 100,000`. */
export const countInWords = ({ kind, value }: Count): string =>
  `${kind === "exact" ? "" : kind === "atLeast" ? "at least " : "about "}${value.toLocaleString("en-US")}`

const words: Readonly<Record<PurgeKind, string>> = {
  delivered: "delivered entries",
  dead: "dead letters",
  discarded: "discarded entries",
  attempts: "attempts"
}

export const command = Command.make(
  "purge",
  { kind, olderThan, dryRun, by, json },
  (given) =>
    withTables(() =>
      Effect.gen(function*() {
        const age = yield* toAge("older-than", Option.some(given.olderThan))
        if (age === undefined) return yield* misuse("--older-than is missing")
        const request = { kind: given.kind, olderThan: age }
        const { preview, purge } = yield* Purge
        const matching = yield* preview(request)
        if (given.dryRun) {
          return yield* Console.log(
            given.json
              ? toJson({ dryRun: true, kind: given.kind, matching })
              : `${countInWords(matching)} ${words[given.kind]} are meant; nothing was changed`
          )
        }
        const by = yield* operator(given.by)
        const deleted = yield* followChange("deleting", matching.value, "purge", by)(purge(request, { by }))
        yield* Console.log(
          given.json
            ? toJson({ kind: given.kind, deleted })
            : `${deleted.toLocaleString("en-US")} ${words[given.kind]} are deleted`
        )
      }).pipe(Effect.provide(Purge.layer))
    )
).pipe(Command.withDescription("Delete what is old, once, in small batches; the retention settings do it all the time"))
