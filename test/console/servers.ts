/** The console as it is served: by the real server, over the test's database. */
import { ConsoleConfig, ConsoleServer } from "@zakops/admin"
import type { ConsoleSettings } from "@zakops/admin"
import { buildConsole } from "@zakops/console/build"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

export const secrets = { read: "only-to-look-at-it", operate: "to-change-things" } as const

/** Somebody who may look, and somebody who may also change. */
export const tokens: ConsoleSettings["tokens"] = [
  { name: "nils", role: "read", secret: Redacted.make(secrets.read) },
  { name: "mira", role: "operate", secret: Redacted.make(secrets.operate) }
]

/** Serves it for as long as the scope is open, and gives its address. Writes are on, nobody is asked for a token, and requests are not counted. */
export const serve = Effect.fnUntraced(function*(settings: Partial<ConsoleSettings> = {}) {
  yield* Effect.promise(buildConsole)
  const config = ConsoleConfig.layerWith({ port: 0, writes: true, rate: 10_000, ...settings })
  const context = yield* Layer.build(ConsoleServer.layer.pipe(Layer.provide(config)))
  return Context.get(context, ConsoleServer).address
})

/** The server that most tests use. */
export class Served extends Context.Service<Served, string>()("@zakops/test/Served") {
  static readonly layer = Layer.effect(Served, serve())
}
