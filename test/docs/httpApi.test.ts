/** The examples of docs/http-api.md run, on a database and over a socket. */
import { assert, layer } from "@effect/vitest"
import { ConsoleServer } from "@zakops/admin"
import { ConsoleConfig } from "@zakops/admin/server/ConsoleConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { vi } from "vitest"
import { idOf, putRows } from "../support/adminRows.ts"
import { ask, handlerWith } from "../support/adminServer.ts"
import { auditRows } from "../support/deadLetters.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { Console, mount, NoNames, olderThanADay } from "./httpApi.ts"

// Read once, when Effect is loaded: as a program is started with them.
const { secret } = vi.hoisted(() => {
  const secret = "the-secret-of-ann"
  process.env["CONSOLE_TOKENS"] = `ann:read:${secret}`
  process.env["CONSOLE_PATH"] = "/ops/outbox"
  process.env["CONSOLE_PORT"] = "0"
  return { secret }
})

layer(TestDatabase.layer, { excludeTestServices: true })("the examples of the HTTP API", (it) => {
  it.effect("mount it in an application, with a token from the environment", () =>
    Effect.gen(function*() {
      const url = yield* TestDatabase.DatabaseUrl
      const { app } = yield* Effect.acquireRelease(
        Effect.promise(() => mount(url)),
        ({ close }) => Effect.promise(close)
      )
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<ReturnType<typeof createServer>>((resolve) => {
            const listening = createServer(app).listen(0, "127.0.0.1", () => resolve(listening))
          })
        ),
        (server) =>
          Effect.promise(async () => {
            server.closeAllConnections()
            await new Promise((resolve) => server.close(resolve))
          })
      )
      const session = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ops/outbox/api/session`
      assert.strictEqual((yield* Effect.promise(() => fetch(session))).status, 401)
      const known = yield* Effect.promise(() => fetch(session, { headers: { authorization: `Bearer ${secret}` } }))
      assert.include(yield* Effect.promise(() => known.text()), `"name":"ann"`)
    }).pipe(Effect.scoped))

  it.effect("serve it on an address of its own, from the environment", () =>
    Effect.gen(function*() {
      const { address } = Context.get(yield* Layer.build(Console), ConsoleServer)
      assert.match(address, /^http:\/\/127\.0\.0\.1:\d+\/ops\/outbox\/$/)
      const flow = yield* Effect.promise(() =>
        fetch(`${address}api/flow`, { headers: { authorization: `Bearer ${secret}` } })
      )
      assert.strictEqual(flow.status, 200)
    }).pipe(Effect.scoped))

  it.effect("mask by a rule of their own", () =>
    Effect.gen(function*() {
      yield* putRows([
        { n: 1, type: "customer.joined", data: `{"name": "Ann", "plan": "gold"}` },
        { n: 2, type: "deal.made", data: `{"name": "Ann"}` }
      ])
      const api = yield* Effect.provide(handlerWith(), NoNames)
      const shown = (n: number) => Effect.map(ask(api, `/api/entries/${idOf(n)}`), ({ body }) => JSON.stringify(body))
      assert.notInclude(yield* shown(1), "Ann")
      assert.include(yield* shown(1), "gold")
      assert.include(yield* shown(2), "Ann")
    }).pipe(Effect.scoped))

  it.effect("redrive what has been dead for a day, by the typed client", () =>
    Effect.gen(function*() {
      yield* putRows([{ n: 10, status: "dead" }, { n: 11, status: "dead" }])
      const server = ConsoleServer.layer.pipe(Layer.provide(ConsoleConfig.layerWith({
        port: 0,
        writes: true,
        tokens: [{ name: "ann", role: "operate", secret: Redacted.make(secret) }]
      })))
      const { address } = Context.get(yield* Layer.build(server), ConsoleServer)
      const there = Layer.succeed(FetchHttpClient.Fetch, (input: string | URL | Request, init?: RequestInit) =>
        fetch(String(input).replace("http://127.0.0.1:8480/", address), init))
      yield* Effect.provide(olderThanADay, FetchHttpClient.layer.pipe(Layer.provideMerge(there)))
      assert.deepStrictEqual((yield* auditRows).map(({ action, by, count }) => [by, action, count]), [[
        "ann",
        "redrive",
        2
      ]])
    }).pipe(Effect.scoped))
})
