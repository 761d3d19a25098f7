/** Serves the API on loopback, with its docs page at /docs. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type { EmitError } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { Api } from "./Api.ts"
import { Deals } from "./Deals.ts"

const unexpected: ReadonlySet<string> = new Set<EmitError["_tag"]>([
  "InvalidEvent",
  "SqlError",
  "Transient",
  "Permanent",
  "TransportDown",
  "NewerThanThisBuild"
])

/** What the business does not expect (the database is away, say) becomes a 500; the rest stands in the API's error types. */
const expected = <A, E extends { readonly _tag: string }, R>(self: Effect.Effect<A, E, R>) =>
  Effect.catchIf(self, (error): error is Extract<E, EmitError> => unexpected.has(error._tag), Effect.die)

const handlers = HttpApiBuilder.group(
  Api,
  "deals",
  Effect.fn(function*(handlers) {
    const deals = yield* Deals
    return handlers.handleAll({
      create: ({ payload }) => expected(deals.create(payload)),
      get: ({ params }) => expected(deals.get(params.dealId)),
      moveStage: ({ params, payload }) => expected(deals.moveStage(params.dealId, payload.stage)),
      addAction: ({ params, payload }) => expected(deals.addAction(params.dealId, payload))
    })
  })
)

/** The routes, for any server. */
export const layerRoutes = Layer.mergeAll(
  HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
    Layer.provide(handlers),
    Layer.provide(HttpApiMiddleware.layerProblemDetails())
  ),
  HttpApiScalar.layer(Api, { path: "/docs" })
)

/** Listens on 127.0.0.1; port 0 takes a free one, which `HttpServer` knows. */
export const layerServer = (port: number) =>
  HttpRouter.serve(layerRoutes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port }))
  )
