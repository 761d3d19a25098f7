/** `zakops projections rebuild` and `switch`: ask whoever runs a projection for it, and wait until it is done. */
import { Consumers } from "@zakops/admin/Consumers"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import type { ProjectionState } from "@zakops/event-store/ProjectionCatalog"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { by, json, operator } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { absent, Problem } from "./Problem.ts"
import { isDrawn, withBar } from "./progress.ts"
import { name, version } from "./projectionFlags.ts"
import { withTables } from "./withDatabase.ts"

const wait = Flag.Boolean("wait").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Show the progress until it is live again")
)

/** How much of the log has been read. */
export const percent = (state: ProjectionState): string => `${Math.floor(ProjectionCatalog.progressOf(state) * 100)}%`

export const condition = (state: ProjectionState): string =>
  state.error !== null ? "stopped" : state.resetRequested ? "rebuild asked for" : state.status

const waitingFor = ({ resetRequested, runner }: ProjectionState) =>
  runner === null ? "nobody runs" : resetRequested ? "waiting for the reset of" : "building"

/** Until the version is live again: with a bar on a terminal, and elsewhere with a line for whatever has changed. */
const untilLive = (name: string, version: number, asJson: boolean) =>
  Effect.gen(function*() {
    const drawn = isDrawn()
    let latest: ProjectionState | undefined
    let told = ""
    const look = Effect.gen(function*() {
      const states = yield* ProjectionCatalog.list(name)
      const state = states.find((one) => one.version === version)
      if (state === undefined) return yield* absent(`version ${version} of ${name} is there no longer`)
      latest = state
      if (state.error !== null) return yield* new Problem({ line: state.error })
      if (state.status === "retired") {
        return yield* new Problem({
          line: `version ${version} of ${name} was replaced by another one meanwhile, and rests`
        })
      }
      const line = state.runner === null
        ? "nobody runs it at the moment: the rebuild begins when somebody does"
        : `${name} version ${version}: ${condition(state)}, ${percent(state)} of the log read`
      const isLive = state.runner !== null && state.status === "live" && !state.resetRequested
      if (!asJson && !drawn && line !== told) yield* Console.log(line)
      told = line
      return isLive
    })
    const bar = Effect.sync(() => ({
      label: `${latest === undefined ? "asking for" : waitingFor(latest)} ${name} version ${version}`,
      done: latest === undefined || latest.resetRequested ? 0 : Number(latest.position),
      total: Number(latest?.newest ?? 0)
    }))
    yield* Effect.repeat(look, { until: (isLive) => isLive, schedule: Schedule.spaced("1 second") }).pipe(withBar(bar))
    if (drawn && !asJson) yield* Console.log(told)
  })

export const rebuild = Command.make(
  "rebuild",
  { name, version, wait, by, json },
  ({ by, json, name, version, wait }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { rebuild } = yield* Consumers
        const chosen = yield* rebuild(name, Option.getOrUndefined(version), { by: yield* operator(by) })
        if (!json) yield* Console.log(`version ${chosen} of ${name} will be emptied and built anew by whoever runs it`)
        if (wait) yield* untilLive(name, chosen, json)
        if (json) yield* Console.log(toJson({ rebuild: name, version: chosen, live: wait }))
      }).pipe(Effect.provide(Consumers.layer))
    )
).pipe(Command.withDescription("Empty a projection and build it anew from the first event"))

const toVersion = Flag.Int("version").pipe(Flag.withDescription("The version that is to be live"))

export const switchTo = Command.make(
  "switch",
  { name, version: toVersion, by, json },
  ({ by, json, name, version }) =>
    withTables(() =>
      Effect.gen(function*() {
        const { switchTo } = yield* Consumers
        yield* switchTo(name, version, { by: yield* operator(by) })
        yield* Console.log(
          json
            ? toJson({ switch: name, version })
            : `version ${version} of ${name} will be live as soon as it has caught up`
        )
      }).pipe(Effect.provide(Consumers.layer))
    )
).pipe(Command.withDescription("Make another version the live one: the way back after a deployment was rolled back"))
