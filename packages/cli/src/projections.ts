/** `zakops projections`: what there is, how far each is, and rebuilding them. Who runs a projection does what is asked for here. */
import { Consumers } from "@zakops/admin/Consumers"
import { listParked } from "@zakops/event-store/parkedEvents"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import type { ProjectionState } from "@zakops/event-store/ProjectionCatalog"
import * as Database from "@zakops/migrations/Database"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { by, operator } from "./deadFilter.ts"
import { absent, misuse, Problem } from "./Problem.ts"
import { asTable } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const json = Flag.Boolean("json").pipe(Flag.withDefault(false), Flag.withDescription("Print JSON instead of a table"))
const name = Argument.String("name").pipe(Argument.withDescription("The projection's name"))
const version = Flag.Int("version").pipe(
  Flag.optional,
  Flag.withDescription("Which version; the live one if it is not given")
)

/** How much of the log has been read, by positions. */
const progress = ({ newest, position }: ProjectionState) =>
  newest === 0 || position >= newest ? "100%" : `${Math.floor(position / newest * 100)}%`

const condition = (state: ProjectionState) =>
  state.error !== null ? "stopped" : state.resetRequested ? "rebuild asked for" : state.status

const print = (states: ReadonlyArray<ProjectionState>, asJson: boolean) =>
  Console.log(
    asJson
      ? JSON.stringify(states, undefined, 2)
      : asTable(
        ["name", "version", "status", "read", "position", "parked", "run by"],
        states.map((state) => [
          state.name,
          String(state.version),
          condition(state),
          progress(state),
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
      const db = yield* Database.make
      for (const state of states) {
        if (state.error !== null) yield* Console.log(`\n${state.error}`)
        if (state.parked === 0) continue
        const parked = yield* listParked(db, yield* ProjectionCatalog.subscriptionNamed(state.name, state.version), 20)
        yield* Console.log(
          `\nparked by version ${state.version}${state.parked > parked.length ? `, the first ${parked.length}` : ""}:`
        )
        yield* Console.log(asTable(
          ["event", "type", "position", "reason", "attempts", "error"],
          parked.map((event) => [
            event.eventId,
            `${event.eventType} v${event.schemaVersion}`,
            String(event.position),
            event.reason,
            String(event.attempts),
            event.error
          ])
        ))
      }
    })
  )).pipe(Command.withDescription("One projection: its versions, where it stopped, and its parked events"))

const wait = Flag.Boolean("wait").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Show the progress until it is live again")
)

const follow = Effect.fnUntraced(function*(name: string, version: number) {
  while (true) {
    const states = yield* ProjectionCatalog.list(name)
    const state = states.find((one) => one.version === version)
    if (state === undefined) return
    yield* Console.log(`${name} version ${version}: ${condition(state)}, ${progress(state)} of the log read`)
    if (state.error !== null) return yield* new Problem({ line: state.error })
    if (state.status === "retired") {
      return yield* new Problem({
        line: `version ${version} of ${name} was replaced by another one meanwhile, and rests`
      })
    }
    if (state.runner === null) {
      yield* Console.log("nobody runs it at the moment: the rebuild begins when somebody does")
    } else if (state.status === "live" && !state.resetRequested) return
    yield* Effect.sleep("1 second")
  }
})

const rebuild = Command.make(
  "rebuild",
  { name, version, wait, by },
  ({ by, name, version, wait }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { rebuild } = yield* Consumers
        const chosen = yield* rebuild(name, Option.getOrUndefined(version), { by: yield* operator(by) })
        yield* Console.log(`version ${chosen} of ${name} will be emptied and built anew by whoever runs it`)
        if (wait) yield* follow(name, chosen)
      }).pipe(Effect.provide(Consumers.layer))
    )
).pipe(Command.withDescription("Empty a projection and build it anew from the first event"))

const toVersion = Flag.Int("version").pipe(Flag.withDescription("The version that is to be live"))

const switchTo = Command.make(
  "switch",
  { name, version: toVersion, by },
  ({ by, name, version }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { switchTo } = yield* Consumers
        yield* switchTo(name, version, { by: yield* operator(by) })
        yield* Console.log(`version ${version} of ${name} will be live as soon as it has caught up`)
      }).pipe(Effect.provide(Consumers.layer))
    )
).pipe(Command.withDescription("Make another version the live one: the way back after a deployment was rolled back"))

const ids = Flag.String("id").pipe(
  Flag.atLeast(0),
  Flag.withDefault([]),
  Flag.withDescription("The id of a parked event; may be repeated")
)
const all = Flag.Boolean("all").pipe(
  Flag.withDefault(false),
  Flag.withDescription("All parked events of the projection")
)

const changeParked = (what: "retried" | "discarded") =>
({ all, by, ids, name, version }: {
  readonly all: boolean
  readonly by: Option.Option<string>
  readonly ids: ReadonlyArray<string>
  readonly name: string
  readonly version: Option.Option<number>
}) =>
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
        `${count} parked events ${what === "retried" ? "will be tried again by whoever runs it" : "are discarded"}`
      )
    }).pipe(Effect.provide(Consumers.layer))
  )

const retry = Command.make("retry", { name, version, ids, all, by }, changeParked("retried")).pipe(
  Command.withDescription("Have parked events tried again; those behind them follow")
)
const discard = Command.make("discard", { name, version, ids, all, by }, changeParked("discarded")).pipe(
  Command.withDescription("Give parked events up: the projection will never have handled them")
)

export const command = Command.make("projections").pipe(
  Command.withDescription("List, inspect and rebuild projections"),
  Command.withSubcommands([list, status, rebuild, switchTo, retry, discard])
)
