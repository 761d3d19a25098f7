/** `zakops projections parked`, `retry` and `discard`: the events that a projection has set aside. */
import { Consumers } from "@zakops/admin/Consumers"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import type { ProjectionState } from "@zakops/event-store/ProjectionCatalog"
import type { ParkedEvent } from "@zakops/admin/api/consumers"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { by, json, operator } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { after, limit } from "./paging.ts"
import { misuse } from "./Problem.ts"
import { name, version } from "./projectionFlags.ts"
import { asTable } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const table = (events: ReadonlyArray<ParkedEvent>) =>
  asTable(
    ["event", "type", "position", "reason", "attempts", "error"],
    events.map((event) => [
      event.eventId,
      `${event.eventType} v${event.schemaVersion}`,
      String(event.position),
      event.reason,
      String(event.attempts),
      event.error
    ])
  )

/** What a version has parked, the first of it, with the command for the rest. */
export const parkedTable = Effect.fnUntraced(function*({ name, version }: ProjectionState) {
  const { parked } = yield* Consumers
  const { items, next } = yield* parked(Projection.subscriptionOf({ name, version }), { limit: 20 })
  const rest = next === null
    ? ""
    : `\nthose after them: zakops projections parked ${name} --version ${version} --after ${next}`
  return `parked by version ${version}:\n${table(items)}${rest}`
}, Effect.provide(Consumers.layer))

export const parked = Command.make(
  "parked",
  { name, version, limit, after, json },
  (given) =>
    withTables(() =>
      Effect.gen(function*() {
        const { parked } = yield* Consumers
        const subscription = yield* ProjectionCatalog.subscriptionNamed(
          given.name,
          Option.getOrUndefined(given.version)
        )
        const page = yield* parked(subscription, { limit: given.limit, after: Option.getOrUndefined(given.after) })
        if (given.json) return yield* Console.log(toJson(page))
        yield* Console.log(page.items.length === 0 ? "it has parked nothing" : table(page.items))
        if (page.next !== null) yield* Console.log(`\nthose after them: --after ${page.next}`)
      }).pipe(Effect.provide(Consumers.layer))
    )
).pipe(Command.withDescription("Events that a projection has set aside, in the order of the log"))

const ids = Flag.String("id").pipe(
  Flag.atLeast(0),
  Flag.withDefault([]),
  Flag.withDescription("The id of a parked event; may be repeated")
)
const all = Flag.Boolean("all").pipe(
  Flag.withDefault(false),
  Flag.withDescription("All parked events of the projection")
)

interface Change {
  readonly all: boolean
  readonly by: Option.Option<string>
  readonly ids: ReadonlyArray<string>
  readonly json: boolean
  readonly name: string
  readonly version: Option.Option<number>
}

const change = (what: "retried" | "discarded") => ({ all, by, ids, json, name, version }: Change) =>
  withTables(() =>
    Effect.gen(function*() {
      if (all === (ids.length > 0)) {
        return yield* misuse("say which parked events: --id, once for each, or --all")
      }
      const wrong = ids.find((id) => !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
      if (wrong !== undefined) return yield* misuse(`--id is ${JSON.stringify(wrong)}, which is no UUID`)
      const { discardParked, retryParked } = yield* Consumers
      const change = what === "retried" ? retryParked : discardParked
      const subscription = yield* ProjectionCatalog.subscriptionNamed(name, Option.getOrUndefined(version))
      const count = yield* change(subscription, all ? "all" : ids, { by: yield* operator(by) })
      yield* Console.log(
        json
          ? toJson({ [what]: count })
          : `${count} parked events ${what === "retried" ? "will be tried again by whoever runs it" : "are discarded"}`
      )
    }).pipe(Effect.provide(Consumers.layer))
  )

const flags = { name, version, ids, all, by, json }

export const retry = Command.make("retry", flags, change("retried")).pipe(
  Command.withDescription("Have parked events tried again; those behind them follow")
)
export const discard = Command.make("discard", flags, change("discarded")).pipe(
  Command.withDescription("Give parked events up: the projection will never have handled them")
)
