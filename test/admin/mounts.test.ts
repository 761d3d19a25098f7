/** The handler in each framework, mounted for real under a path of its own, and asked over a socket. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { serve as serveHono } from "@hono/node-server"
import { assert, layer } from "@effect/vitest"
import type { AdminHandler } from "@zakops/admin/AdminHandler"
import { Api } from "@zakops/admin/Api"
import { ConsoleServer } from "@zakops/admin/ConsoleServer"
import { toFastify, toHono, toHttpRouter, toNode } from "@zakops/admin/mounts"
import { ConsoleConfig } from "@zakops/admin/server/ConsoleConfig"
import * as Effect from "effect/Effect"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import express from "express"
import fastify from "fastify"
import { Hono } from "hono"
import type { Server } from "node:http"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { EventStore } from "@zakops/event-store/EventStore"
import { idOf, putRows } from "../support/adminRows.ts"
import { Added } from "../support/counter.ts"
import { handlerWith } from "../support/adminServer.ts"
import { emptyTables } from "../support/outbox.ts"
import { OnLog } from "../support/projections.ts"

const basePath = "/ops/outbox"

/** The port that a server of `start` listens on, until the scope closes. */
const listening = (start: () => Promise<Server>) =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(start), (server) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      })),
    (server) => (server.address() as AddressInfo).port
  )

const listen = (server: Server) =>
  new Promise<Server>((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)))

/** Mounts the handler, and gives the port. Beside it stands something of the application's own at /own. */
const mounts: Readonly<Record<string, (handler: AdminHandler) => Effect.Effect<number, unknown, Scope.Scope>>> = {
  "Node's http": (handler) => {
    const admin = toNode(handler)
    return listening(() =>
      listen(
        createServer((request, response) => request.url === "/own" ? response.end("own") : admin(request, response))
      )
    )
  },
  "Express": (handler) => {
    const app = express()
    app.get("/own", (_request, response) => void response.send("own"))
    app.use(basePath, toNode(handler))
    return listening(() => listen(createServer(app)))
  },
  "Express, after its body parser": (handler) => {
    const app = express()
    app.use(express.json())
    app.get("/own", (_request, response) => void response.send("own"))
    app.use(basePath, toNode(handler))
    return listening(() => listen(createServer(app)))
  },
  "Fastify": (handler) =>
    listening(async () => {
      const app = fastify()
      app.get("/own", () => "own")
      await app.register(toFastify(handler), { prefix: basePath })
      await app.listen({ port: 0, host: "127.0.0.1" })
      return app.server
    }),
  "Hono": (handler) => {
    const app = new Hono()
    app.get("/own", (context) => context.text("own"))
    app.all(basePath, toHono(handler))
    app.all(`${basePath}/*`, toHono(handler))
    return listening(() =>
      new Promise((resolve) => {
        const server = serveHono({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, () => resolve(server as Server))
      })
    )
  },
  "Effect's HttpRouter": (handler) => {
    const routes = Layer.mergeAll(
      HttpRouter.add("GET", "/own", Effect.succeed(HttpServerResponse.text("own"))),
      toHttpRouter(handler, basePath)
    )
    const server = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }))
    )
    return Effect.map(Layer.build(server), (context) => {
      const { address } = Context.get(context, HttpServer.HttpServer)
      return Number(new URL(HttpServer.formatAddress(address)).port)
    })
  }
}

/** The API's own client, as the console and other programs use it. */
const clientOf = (port: number) =>
  Effect.provide(HttpApiClient.make(Api, { baseUrl: `http://127.0.0.1:${port}${basePath}` }), FetchHttpClient.layer)

layer(OnLog, { excludeTestServices: true })("mounted under a path in", (it) => {
  for (const [name, mount] of Object.entries(mounts)) {
    it.effect(`${name}: it reads, writes, refuses, streams, and leaves the rest alone`, () =>
      Effect.gen(function*() {
        yield* emptyTables
        const sql = yield* SqlClient
        yield* putRows([{ n: 1, status: "dead", type: "ümlaut ✓" }])
        const port = yield* mount(yield* handlerWith({ basePath, writes: true }))
        const fetched = (path: string, options?: RequestInit) =>
          Effect.promise(async () => {
            const response = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: "manual", ...options })
            return { status: response.status, headers: response.headers, text: await response.text() }
          })

        const client = yield* clientOf(port)
        assert.strictEqual((yield* client.session.get()).mayChange, true)
        const page = yield* client.entries.list({ query: { state: "dead", type: "ümlaut ✓" } })
        assert.deepStrictEqual(page.items.map(({ id, seq }) => [id, typeof seq]), [[idOf(1), "bigint"]])
        assert.deepStrictEqual(
          yield* client.dead.redrive({ payload: { selection: { ids: [idOf(1)] }, expected: 1 } }),
          { redriven: 1 }
        )
        const refused = yield* Effect.flip(client.keys.unblock({ payload: { key: "none" } }))
        assert.deepInclude(refused, { _tag: "NotBlocked", key: "none" })
        const wrong = yield* fetched(`${basePath}/api/dead/redrive`, {
          method: "POST",
          body: "x".repeat(1_100_000),
          headers: { "content-type": "text/plain" }
        })
        assert.strictEqual(wrong.status, 413)

        const first = yield* fetched(`${basePath}/api/flow`)
        const again = yield* fetched(`${basePath}/api/flow`, {
          headers: { "if-none-match": first.headers.get("etag") ?? "", "cache-control": "no-cache" }
        })
        assert.strictEqual(`${again.status} ${again.text}`, "304 ")
        // Whatever stands in between, what the request says of host and site is looked at.
        const stranger = (headers: Readonly<Record<string, string>>) =>
          Effect.promise(() =>
            new Promise<number | undefined>((resolve, reject) => {
              const asked = request({ port, path: `${basePath}/api/flow`, headers }, (answer) => {
                answer.resume()
                resolve(answer.statusCode)
              })
              asked.on("error", reject).end()
            })
          )
        assert.strictEqual(yield* stranger({ host: `localhost:${port}` }), 200)
        assert.strictEqual(yield* stranger({ host: "evil.example.com" }), 403)
        assert.strictEqual(yield* stranger({ origin: "http://evil.example.com" }), 403)
        assert.strictEqual(yield* stranger({ "sec-fetch-site": "cross-site" }), 403)
        const head = yield* fetched(`${basePath}/api/flow`, { method: "HEAD" })
        assert.strictEqual(`${head.status} ${head.headers.get("etag")}`, `200 ${first.headers.get("etag")}`)
        const slash = yield* fetched(basePath)
        assert.strictEqual(`${slash.status} ${slash.headers.get("location")}`, "308 outbox/")
        assert.strictEqual((yield* fetched("/own")).text, "own")
        assert.strictEqual((yield* fetched(`${basePath}x/api/flow`)).status, 404)

        const { write } = yield* EventStore
        yield* write({ aggregateType: "counter", aggregateId: "c" }, "any", [yield* Added.make({ by: 7 })], {
          correlationId: idOf(1)
        })
        const tail = yield* client.streams.tail({ query: { after: "0:0", type: "counter.added" } })
        const [event] = yield* tail.pipe(
          Stream.filter((item) => item._tag === "Event"),
          Stream.take(1),
          Stream.runCollect
        )
        assert.strictEqual(event?._tag === "Event" ? event.event.data : undefined, `{"by": 7}`)
        assert.deepStrictEqual(
          (yield* sql`SELECT count(*)::int AS count FROM zakops.audit`)[0],
          { count: 1 }
        )
      }).pipe(Effect.scoped))
  }

  it.effect("a server of its own: it listens on this machine, tells its address, and is gone with its scope", () =>
    Effect.gen(function*() {
      const address = yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(
          ConsoleServer.layer.pipe(Layer.provide(ConsoleConfig.layerWith({ port: 0, basePath })))
        )
        const { address } = Context.get(context, ConsoleServer)
        assert.match(address, /^http:\/\/127\.0\.0\.1:\d+\/ops\/outbox\/$/)
        const answer = yield* Effect.promise(() => fetch(`${address}api/session`))
        assert.strictEqual(answer.status, 200)
        // A tail that is followed does not keep it open.
        yield* Effect.promise(async () => (await fetch(`${address}api/streams/tail`)).body?.getReader().read())
        return address
      }))
      const gone = yield* Effect.promise(() => fetch(address).then(() => "there", () => "gone"))
      assert.strictEqual(gone, "gone")
    }))
})
