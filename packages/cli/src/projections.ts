/** `zakops projections`: what there is, how far each is, and rebuilding them. Who runs a projection does what is asked for here. */
import { shellWord } from "@zakops/admin/doctor/Check"
import { Consumers } from "@zakops/admin/Consumers"
import * as Projection from "@zakops/event-store/Projection"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import type { ProjectionState } from "@zakops/event-store/ProjectionCatalog"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { json } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { changeFlags, changeParked, listFlags, listParked, parkedTable } from "./parked.ts"
import { absent } from "./Problem.ts"
import { name, version } from "./projectionFlags.ts"
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
          state.parked >= ProjectionCatalog.mostParked ? `${state.parked} or more` : String(state.parked),
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

/** What a version has parked, the first of it, with the command for the rest. */
const firstParked = Effect.fnUntraced(function*({ name, version }: ProjectionState) {
  const { parked } = yield* Consumers
  const { items, next } = yield* parked(Projection.subscriptionOf({ name, version }), { limit: 20 })
  const rest = next === null
    ? ""
    : `\nthose after them: zakops projections parked ${shellWord(name)} --version ${version} --after ${next}`
  return `parked by version ${version}:\n${parkedTable(items)}${rest}`
})

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
        if (state.parked > 0) yield* Console.log(`\n${yield* firstParked(state)}`)
      }
    }).pipe(Effect.provide(Consumers.layer))
  )).pipe(Command.withDescription("One projection: its versions, where it stopped, and its parked events"))

interface Given {
  readonly name: string
  readonly version: Option.Option<number>
}

const named = ({ name, version }: Given) => ProjectionCatalog.subscriptionNamed(name, Option.getOrUndefined(version))

const parked = Command.make("parked", { name, version, ...listFlags }, (given) => listParked(named(given), given)).pipe(
  Command.withDescription("Events that a projection has set aside, in the order of the log")
)

const retry = Command.make(
  "retry",
  { name, version, ...changeFlags },
  (given) => changeParked("retried", named(given), given)
).pipe(
  Command.withDescription("Have parked events tried again; those behind them follow")
)

const discard = Command.make(
  "discard",
  { name, version, ...changeFlags },
  (given) => changeParked("discarded", named(given), given)
).pipe(
  Command.withDescription("Give parked events up: the projection will never have handled them")
)

export const command = Command.make("projections").pipe(
  Command.withDescription("List, inspect and rebuild projections"),
  Command.withSubcommands([list, status, rebuild, switchTo, parked, retry, discard])
)
