/** The examples of docs/http-api.md. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Admin, Api, ConsoleConfig, ConsoleServer, MaskRule, toNode } from "@zakops/admin"
import * as Effect from "effect/Effect"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import express from "express"

export const Console = ConsoleServer.layer.pipe(
  Layer.provide(ConsoleConfig.layer)
)

export const mount = async (databaseUrl: string) => {
  const runtime = ManagedRuntime.make(
    Admin.layer().pipe(
      Layer.provide(ConsoleConfig.layer),
      Layer.provide(PgClient.layer({ url: Redacted.make(databaseUrl) }))
    )
  )
  const admin = await runtime.runPromise(Admin)
  const app = express()
  app.use("/ops/outbox", toNode(admin))
  return { app, close: () => runtime.dispose() }
}

export const NoNames = Layer.succeed(
  MaskRule,
  ({ eventType, path }) => eventType.startsWith("customer.") && path.at(-1) === "name"
)

export const olderThanADay = Effect.gen(function*() {
  const client = yield* HttpApiClient.make(Api, {
    baseUrl: "http://127.0.0.1:8480",
    transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken("the-secret-of-ann"))
  })
  const { count } = yield* client.dead.preview({ payload: { selection: { olderThan: "1d" } } })
  yield* client.dead.redrive({ payload: { selection: { olderThan: "1d" }, expected: count, rate: 20 } })
})
