/** `zakops entry`: entries of the outbox, whatever their state. */
import { EntryState } from "@zakops/admin/api/entries"
import { Entries } from "@zakops/admin/Entries"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { json } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { after, limit } from "./paging.ts"
import { entriesTable, showEntry } from "./showEntry.ts"
import { withTables } from "./withDatabase.ts"

const id = Argument.String("id").pipe(Argument.withDescription("The entry's id, or that of its event"))

export const show = Command.make("show", { id, json }, ({ id, json }) => withTables(() => showEntry(id, json))).pipe(
  Command.withDescription(
    "One entry: its event, its settings, every attempt that failed, its neighbours, and how far it is at each destination"
  )
)

const optional = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

const filter = {
  state: Flag.Literals("state", EntryState.literals).pipe(
    Flag.optional,
    Flag.withDescription(
      "pending, behind (another of its key), held (paused or limited), processing, delivered, dead or discarded"
    )
  ),
  type: optional("type", "Those of this event type"),
  key: optional("key", "Those with this ordering key"),
  destination: optional("destination", "Those of this route"),
  aggregateType: optional("aggregate-type", "Those of this type of aggregate"),
  aggregateId: optional("aggregate-id", "Those of this aggregate"),
  correlationId: optional("correlation-id", "Those with this correlation id"),
  error: optional("error", "Those whose error contains this text")
}

const list = Command.make(
  "list",
  { ...filter, limit, after, json },
  ({ after, json, limit, ...given }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { list } = yield* Entries
        const page = yield* list({
          state: Option.getOrUndefined(given.state),
          type: Option.getOrUndefined(given.type),
          key: Option.getOrUndefined(given.key),
          destination: Option.getOrUndefined(given.destination),
          aggregateType: Option.getOrUndefined(given.aggregateType),
          aggregateId: Option.getOrUndefined(given.aggregateId),
          correlationId: Option.getOrUndefined(given.correlationId),
          error: Option.getOrUndefined(given.error)
        }, { limit, after: Option.getOrUndefined(after) })
        if (json) return yield* Console.log(toJson(page))
        yield* Console.log(page.items.length === 0 ? "there are none of that kind here" : entriesTable(page.items))
        if (page.next !== null) yield* Console.log(`\nthose after them: --after ${page.next}`)
      }).pipe(Effect.provide(Entries.layer))
    )
).pipe(Command.withDescription("Entries by state, type, key, route, aggregate or error"))

export const command = Command.make("entry").pipe(
  Command.withDescription("Look at entries, whatever their state"),
  Command.withSubcommands([list, show])
)
