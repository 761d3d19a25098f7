/** `zakops projections`: what there is, how far each is, and rebuilding them. Who runs a projection does what is asked for here. */
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import type { ProjectionState } from "@zakops/event-store/ProjectionCatalog"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { json } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { discard, parked, parkedTable, retry } from "./parked.ts"
import { absent } from "./Problem.ts"
import { name } from "./projectionFlags.ts"
import { condition, percent, rebuild, switchTo } from "./rebuild.ts"
import { asTable } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const print = (states: ReadonlyArray<ProjectionState>, asJson: boolean) =>
  Console.log(
    asJson
      ? toJson(states)
      : asTable(
        ["name", "version", "status", "read", "position", "parked", "run by"],
        states.map((state) => [
          state.name,
          String(state.version),
          condition(state),
          percent(state),
          `${state.position} of ${state.newest}`,
          String(state.parked),
          state.runner ?? "nobody"
        ])
      )
  )

const list = Command.make(
  "list",
  { json },
  ({ json }) => withTables(() => Effect.flatMap(ProjectionCatalog.list(), (states) => print(states, json)))
).pipe(
  Command.withDescription("All versions of all projections")
)

const status = Command.make("status", { name, json }, ({ json, name }) =>
  withTables(() =>
    Effect.gen(function*() {
      const states = yield* ProjectionCatalog.list(name)
      if (states.length === 0) {
        return yield* absent(`there is no projection ${name}: one is known from when it first ran`)
      }
      yield* print(states, json)
      if (json) return
      for (const state of states) {
        if (state.error !== null) yield* Console.log(`\n${state.error}`)
        if (state.parked > 0) yield* Console.log(`\n${yield* parkedTable(state)}`)
      }
    })
  )).pipe(Command.withDescription("One projection: its versions, where it stopped, and its parked events"))

export const command = Command.make("projections").pipe(
  Command.withDescription("List, inspect and rebuild projections"),
  Command.withSubcommands([list, status, rebuild, switchTo, parked, retry, discard])
)
