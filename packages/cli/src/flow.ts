/** `zakops pause` and `zakops resume`: holds a type of events, or a destination, for all processes. */
import { FlowControl } from "@zakops/outbox"
import type { FlowTarget } from "@zakops/outbox"
import { Wakeup } from "@zakops/outbox/Wakeup"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { by, json, operator } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import type { Problem } from "./Problem.ts"
import { misuse } from "./Problem.ts"
import { harmless } from "./table.ts"
import { withTables } from "./withDatabase.ts"

const type = Flag.String("type").pipe(Flag.optional, Flag.withDescription("This event type"))
const destination = Flag.String("destination").pipe(
  Flag.optional,
  Flag.withDescription("All that goes to this destination: the publisher's name, as zakops status shows it")
)

type Given = {
  readonly type: Option.Option<string>
  readonly destination: Option.Option<string>
  readonly by: Option.Option<string>
  readonly json: boolean
}

const targetOf = ({ destination, type }: Given): Effect.Effect<FlowTarget, Problem> => {
  // A variable of a shell that is not set is no type.
  if ([type, destination].some(Option.exists((name) => name === ""))) return misuse("--type or --destination is empty")
  if (Option.isSome(type) && Option.isNone(destination)) return Effect.succeed({ type: type.value })
  if (Option.isSome(destination) && Option.isNone(type)) return Effect.succeed({ destination: destination.value })
  return misuse("say what: --type or --destination")
}

export const layerFlow = FlowControl.layer.pipe(Layer.provideMerge(Wakeup.layer))

const change = (what: "pause" | "resume") => (given: Given) =>
  withTables(() =>
    Effect.gen(function*() {
      const target = yield* targetOf(given)
      const flow = yield* FlowControl
      const changed = yield* flow[what](target, { by: yield* operator(given.by) })
      const [kind, name] = "type" in target ? ["type", target.type] : ["destination", target.destination]
      const words = `the ${kind} ${harmless(name ?? "")}`
      yield* Console.log(
        given.json
          ? toJson({ [what === "pause" ? "paused" : "resumed"]: target, changed })
          : what === "pause"
          ? changed ? `${words} is paused until somebody resumes it` : `${words} was paused already`
          : changed
          ? `${words} goes on`
          : `${words} was not paused`
      )
    }).pipe(Effect.provide(layerFlow))
  )

const flags = { type, destination, by, json }

export const pause = Command.make("pause", flags, change("pause")).pipe(
  Command.withDescription("Hold a type of events, or a destination, for all processes. What is in flight is finished")
)

export const resume = Command.make("resume", flags, change("resume")).pipe(
  Command.withDescription("Deliver again what was paused, oldest first")
)
