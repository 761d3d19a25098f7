/** `zakops console`: serves the web console and its API until it is told to stop, set by the CONSOLE_ variables. */
import { ConsoleConfig, ConsoleServer } from "@zakops/admin"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { buildInCheckout } from "./elsewhere.ts"
import { untilTold } from "./exitCodes.ts"
import { checkPort } from "./port.ts"
import { withTables } from "./withDatabase.ts"

const port = Flag.Int("port").pipe(
  Flag.optional,
  Flag.withDescription("The port to listen on, 0 for a free one; CONSOLE_PORT or 8480 if not given")
)
const host = Flag.String("host").pipe(
  Flag.optional,
  Flag.withDescription(
    "The address to listen on; CONSOLE_HOST or 127.0.0.1 if not given, any other needs CONSOLE_TOKENS"
  )
)
const writes = Flag.Boolean("writes").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Allow changes, as CONSOLE_WRITES=true does, to those whose token has the role operate")
)

interface Given {
  readonly port: Option.Option<number>
  readonly host: Option.Option<string>
  readonly writes: boolean
}

/** The variables, and what the command line says instead. Tokens are never on it: others see it in the list of processes. */
const layerSettings = ({ host, port, writes }: Given) =>
  Layer.effect(
    ConsoleConfig,
    Effect.gen(function*() {
      const settings = yield* ConsoleConfig
      yield* checkPort(port)
      return ConsoleConfig.of({
        ...settings,
        port: Option.getOrElse(port, () => settings.port),
        host: Option.getOrElse(host, () => settings.host),
        writes: writes || settings.writes
      })
    })
  ).pipe(Layer.provideMerge(ConsoleConfig.layer))

const serve = Effect.fnUntraced(function*(shown: string, given: Given) {
  const context = yield* Layer.build(ConsoleServer.layer.pipe(Layer.provideMerge(layerSettings(given))))
  const { address } = Context.get(context, ConsoleServer)
  const { writes } = Context.get(context, ConsoleConfig)
  yield* Console.log(`the console of ${shown}${writes ? "" : ", read only"}: ${address}`)
  return yield* Effect.never
})

export const command = Command.make(
  "console",
  { port, host, writes },
  (given) =>
    withTables((shown) =>
      buildInCheckout.pipe(
        Effect.andThen(untilTold(Effect.scoped(serve(shown, given))))
      )
    )
).pipe(Command.withDescription("Serve the web console and its HTTP API until Ctrl-C; set by the CONSOLE_ variables"))
