/** `zakops dead`: looks at dead letters, has them tried again, gives them up. */
import { DeadLetters } from "@zakops/outbox"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { all, by, filterFlags, json, operator, toFilter, toSelection } from "./deadFilter.ts"
import { followChange } from "./followChange.ts"
import { show } from "./entry.ts"
import { absent } from "./Problem.ts"
import { toJson } from "./json.ts"
import { after, limit } from "./paging.ts"
import { previewDead } from "./previewDead.ts"
import { asTable, groupsTable, shortened, when } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const list = Command.make(
  "list",
  { ...filterFlags, limit, after, json },
  (given) =>
    withTables(() =>
      Effect.gen(function*() {
        const dead = yield* DeadLetters
        const filter = yield* toFilter(given)
        const page = yield* dead.list(filter, { limit: given.limit, after: Option.getOrUndefined(given.after) })
        const count = yield* dead.count(filter)
        if (given.json) return yield* Console.log(toJson({ count, items: page.entries, next: page.next }))
        if (count === 0) return yield* Console.log("there are no dead letters of that kind")
        yield* Console.log(asTable(
          ["id", "type", "key", "attempts", "redrives", "died", "error"],
          page.entries.map((entry) => [
            entry.id,
            `${entry.eventType} v${entry.schemaVersion}`,
            entry.orderingKey === null ? "" : entry.blocks ? `${entry.orderingKey} (blocked)` : entry.orderingKey,
            `${entry.attempts} of ${entry.maxAttempts}`,
            String(entry.redrives),
            when(entry.diedAt),
            shortened(entry.error)
          ])
        ))
        yield* Console.log(
          `\n${page.entries.length} of ${count}${page.next === null ? "" : `; those after them: --after ${page.next}`}`
        )
      }).pipe(Effect.provide(DeadLetters.layer))
    )
).pipe(Command.withDescription("Dead letters, latest written first"))

const grouping = Argument.Literals("by", ["type", "error", "key", "age"]).pipe(
  Argument.withDescription("type, error, key or age")
)

const groups = Command.make(
  "groups",
  { by: grouping, ...filterFlags, json },
  (given) =>
    withTables(() =>
      Effect.gen(function*() {
        const { groups } = yield* DeadLetters
        const found = yield* groups(given.by, yield* toFilter(given))
        yield* Console.log(given.json ? JSON.stringify(found, undefined, 2) : groupsTable(given.by, found))
      }).pipe(Effect.provide(DeadLetters.layer))
    )
).pipe(Command.withDescription("How many dead letters there are of each type, error, key or age"))

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Only say how many there are, and of which kind")
)
const rate = Flag.Finite("rate").pipe(
  Flag.optional,
  Flag.withDescription("How many become due in a second; all at once if it is not given")
)

/** A script that has named entries wants to know. */
const noneOfThem = absent("none of the entries that --id names is a dead letter that is meant: nothing was changed")

const redrive = Command.make(
  "redrive",
  { ...filterFlags, all, rate, by, dryRun, json },
  (given) =>
    withTables(() =>
      Effect.gen(function*() {
        const selection = yield* toSelection(given)
        if (given.dryRun) return yield* previewDead(selection, given.json)
        const rate = Option.getOrUndefined(given.rate)
        const dead = yield* DeadLetters
        const by = yield* operator(given.by)
        const meant = yield* dead.count(selection === "all" ? {} : selection)
        const redriven = yield* followChange("redriving", meant, "redrive", by)(dead.redrive(selection, { by, rate }))
        if (redriven === 0 && given.ids.length > 0) return yield* noneOfThem
        yield* Console.log(
          given.json
            ? JSON.stringify({ redriven })
            : `${redriven} entries will be tried again${rate === undefined ? "" : `, ${rate} a second`}`
        )
      }).pipe(Effect.provide(DeadLetters.layer))
    )
).pipe(Command.withDescription("Have dead letters tried again, with all their attempts"))

const discard = Command.make(
  "discard",
  { ...filterFlags, all, by, dryRun, json },
  (given) =>
    withTables(() =>
      Effect.gen(function*() {
        const selection = yield* toSelection(given)
        if (given.dryRun) return yield* previewDead(selection, given.json)
        const dead = yield* DeadLetters
        const by = yield* operator(given.by)
        const meant = yield* dead.count(selection === "all" ? {} : selection)
        const discarded = yield* followChange("discarding", meant, "discard", by)(dead.discard(selection, { by }))
        if (discarded === 0 && given.ids.length > 0) return yield* noneOfThem
        yield* Console.log(given.json ? JSON.stringify({ discarded }) : `${discarded} entries are discarded`)
      }).pipe(Effect.provide(DeadLetters.layer))
    )
).pipe(Command.withDescription("Give dead letters up: they will never be delivered"))

export const command = Command.make("dead").pipe(
  Command.withDescription("List, inspect, redrive and discard dead letters"),
  Command.withSubcommands([list, groups, show, redrive, discard])
)
