/**
 * The web console over the demo's database: on this machine only, without a token, and with everything allowed, since it is a demo. It knows
 * the demo's events and its decider, so that it can say what would decode, and show a deal's state.
 */
import { ConsoleConfig, ConsoleServer, KnownEvents, StateViews, viewOf } from "@zakops/admin"
import { buildConsole, isConsoleBuilt } from "@zakops/console/build"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { dealDecider } from "../dealDecider.ts"
import { ActionAdded, DealCreated, DealStageMoved, FollowUpDue } from "../events.ts"
import { Notes } from "./Notes.ts"

const known = Layer.mergeAll(
  Layer.succeed(KnownEvents, [DealCreated, DealStageMoved, ActionAdded, FollowUpDue]),
  Layer.succeed(StateViews, [viewOf(dealDecider)])
)

const serverOn = (port: number) =>
  ConsoleServer.layer.pipe(
    Layer.provide(ConsoleConfig.layerWith({ port, writes: true, rate: 200 })),
    Layer.provide(known)
  )

/** Where the API's own default is. */
const usualPort = 8480

/** Serves it for as long as the scope is open, and gives its address. Builds it first where that has not been done. */
export const serveConsole = Effect.gen(function*() {
  const { tell } = yield* Notes
  if (!isConsoleBuilt()) {
    yield* tell("building the console, which is done once")
    yield* Effect.catch(
      Effect.tryPromise(buildConsole),
      (error) => tell(`the console could not be built, only its API is there: ${error.message}`)
    )
  }
  const context = yield* Layer.build(serverOn(usualPort)).pipe(
    // Somebody else has the port.
    Effect.catchTag("CannotListen", () => Layer.build(serverOn(0)))
  )
  return Context.get(context, ConsoleServer).address
})
