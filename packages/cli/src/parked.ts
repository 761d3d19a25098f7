/** Events that a subscription has set aside, as `zakops consumers` and `zakops projections` list them, have them retried, or give them up. */
import type { ParkedEvent } from "@zakops/admin/api/consumers"
import { Consumers } from "@zakops/admin/Consumers"
import { uuid } from "@zakops/outbox/emitting/identifiers"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SqlClient } from "effect/sql/SqlClient"
import { by, json, operator } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { after, limit } from "./paging.ts"
import type { Known } from "./Problem.ts"
import { absent, misuse } from "./Problem.ts"
import { asTable } from "./table.ts"
import { withTables } from "./withDatabase.ts"

export const parkedTable = (events: ReadonlyArray<ParkedEvent>) =>
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

/** Which subscription is meant; fails where there is none of that name. */
type Named = Effect.Effect<string, Known, SqlClient | Consumers>

export const listFlags = { limit, after, json }

export const listParked = (
  named: Named,
  { after, json, limit }: { readonly after: Option.Option<string>; readonly json: boolean; readonly limit: number }
) =>
  withTables(() =>
    Effect.gen(function*() {
      const { parked } = yield* Consumers
      const page = yield* parked(yield* named, { limit, after: Option.getOrUndefined(after) })
      if (json) return yield* Console.log(toJson(page))
      yield* Console.log(
        page.items.length > 0
          ? parkedTable(page.items)
          : `it has parked nothing${Option.isNone(after) ? "" : " after these"}`
      )
      if (page.next !== null) yield* Console.log(`\nthose after them: --after ${page.next}`)
    }).pipe(Effect.provide(Consumers.layer))
  )

const ids = Flag.String("id").pipe(
  Flag.atLeast(0),
  Flag.withDefault([]),
  Flag.withDescription("The id of a parked event; may be repeated")
)
const all = Flag.Boolean("all").pipe(
  Flag.withDefault(false),
  Flag.withDescription("All that it has parked")
)

export const changeFlags = { ids, all, by, json }

interface Change {
  readonly all: boolean
  readonly by: Option.Option<string>
  readonly ids: ReadonlyArray<string>
  readonly json: boolean
}

export const changeParked = (what: "retried" | "discarded", named: Named, { all, by, ids, json }: Change) =>
  withTables(() =>
    Effect.gen(function*() {
      if (all === (ids.length > 0)) {
        return yield* misuse("say which parked events: --id, once for each, or --all")
      }
      const wrong = ids.find((id) => !uuid.test(id))
      if (wrong !== undefined) return yield* misuse(`--id is ${JSON.stringify(wrong)}, which is no UUID`)
      const { discardParked, retryParked } = yield* Consumers
      const change = what === "retried" ? retryParked : discardParked
      const count = yield* change(yield* named, all ? "all" : ids, { by: yield* operator(by) })
      if (count === 0 && ids.length > 0) {
        return yield* absent("none of the events that --id names is parked: nothing was changed")
      }
      yield* Console.log(
        json
          ? toJson({ [what]: count })
          : `${count} parked events ${what === "retried" ? "will be tried again by whoever runs it" : "are discarded"}`
      )
    }).pipe(Effect.provide(Consumers.layer))
  )
