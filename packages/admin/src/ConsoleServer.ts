/**
 * Serves the API and the console on an address of its own: this machine's unless told otherwise, and anything beyond it only with tokens.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Server } from "node:http"
import { createServer } from "node:http"
import { make as makeHandler, NotProtected } from "./AdminHandler.ts"
import { toNode } from "./mounts.ts"
import { KeepFigures } from "./reading/refreshedBehind.ts"
import { ConsoleConfig } from "./server/ConsoleConfig.ts"

/** The address is taken, or not one of this machine. */
export class CannotListen extends Schema.TaggedError<CannotListen>()("CannotListen", {
  host: Schema.String,
  port: Schema.Int,
  reason: Schema.String
}) {
  override get message() {
    return `cannot listen on ${this.host}:${this.port}: ${this.reason}`
  }
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|::1)$/
const everywhere = /^(0\.0\.0\.0|::)$/

/** Why these settings would open the console to others, if they would. Pure. */
export const exposure = ({ host, hosts, tokens }: ConsoleConfig["Service"]): string | undefined => {
  if (loopback.test(host)) {
    // A page of any site could have its own name lead to this address (DNS rebinding), and would be of the same site.
    return hosts === "any" && tokens.length === 0
      ? "CONSOLE_HOSTS=* lets pages of any site ask, and no token is set: name the hosts, or set CONSOLE_TOKENS=name:role:secret"
      : undefined
  }
  if (tokens.length === 0) {
    return `${host} can be reached from other machines, and no token is set: set CONSOLE_TOKENS=name:role:secret`
  }
  return everywhere.test(host) && hosts !== "any" && hosts.length === 0
    ? `${host} is every address of this machine: name in CONSOLE_HOSTS the hosts that requests may name`
    : undefined
}

const listen = (server: Server, host: string, port: number) =>
  Effect.callback<number, CannotListen>((resume) => {
    const failed = (error: Error) => resume(new CannotListen({ host, port, reason: error.message }))
    server.once("error", failed)
    server.listen(port, host, () => {
      server.off("error", failed)
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
    })
  })

const close = (server: Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    // A tail would keep it open for ever.
    server.closeAllConnections()
  })

export class ConsoleServer extends Context.Service<ConsoleServer, {
  /** Where the console is: `http://127.0.0.1:8480/`. */
  readonly address: string
}>()("@zakops/admin/ConsoleServer") {
  /** Listens as long as the layer lives. Needs a client of the database and `ConsoleConfig`. */
  static readonly layer = Layer.effect(
    ConsoleServer,
    Effect.suspend(() => serve)
  )
}

const serve: Effect.Effect<
  ConsoleServer["Service"],
  InvalidSchemaName | NotProtected | CannotListen,
  ConsoleConfig | PgClient | SqlClient | Scope.Scope
> = Effect.gen(function*() {
  const settings = yield* ConsoleConfig
  const { basePath, host, hosts, port } = settings
  const reason = exposure(settings)
  if (reason !== undefined) return yield* new NotProtected({ reason })
  // The address itself may be named by requests, where it is one.
  const named = hosts === "any" || loopback.test(host) || everywhere.test(host) ? hosts : [...hosts, host]
  // Before anybody can ask there is something to be answered.
  const handler = yield* makeHandler({ open: true }).pipe(
    Effect.provideService(ConsoleConfig, { ...settings, hosts: named }),
    Effect.provideService(KeepFigures, true)
  )
  const server = createServer(toNode(handler))
  const bound = yield* Effect.acquireRelease(listen(server, host, port), () => close(server))
  const shown = host.includes(":") ? `[${host}]` : host
  return { address: `http://${shown}:${bound}${basePath}/` }
})
