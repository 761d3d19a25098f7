/** Serves the API on loopback, with its docs page at /docs. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { Api } from "./Api.ts"
import { DealExists, DealNotFound } from "./dealDecider.ts"
import { Deals, NeedsSignature } from "./Deals.ts"

type Refusal = DealExists | DealNotFound | NeedsSignature

const isRefusal = (error: unknown): error is Refusal =>
  error instanceof DealExists || error instanceof DealNotFound || error instanceof NeedsSignature

/** The refusals that the endpoint names are answered; all else (the database is away, say) becomes a 500. */
const answer = <A, E, R, const Named extends ReadonlyArray<abstract new(...args: never) => Refusal>>(
  self: Effect.Effect<A, E, R>,
  ...named: Named
): Effect.Effect<A, InstanceType<Named[number]>, R> =>
  Effect.catch(self, (error) =>
    isRefusal(error) && named.some((refusal) => error instanceof refusal)
      ? Effect.fail(error as InstanceType<Named[number]>)
      : Effect.die(error))

const handlers = HttpApiBuilder.group(
  Api,
  "deals",
  Effect.fn(function*(handlers) {
    const deals = yield* Deals
    return handlers.handleAll({
      create: ({ payload }) => answer(deals.create(payload), DealExists),
      get: ({ params }) => answer(deals.get(params.dealId), DealNotFound),
      moveStage: ({ params, payload }) =>
        answer(deals.moveStage(params.dealId, payload.stage), DealNotFound, NeedsSignature),
      addAction: ({ params, payload }) => answer(deals.addAction(params.dealId, payload), DealNotFound)
    })
  })
)

const reports = HttpApiBuilder.group(
  Api,
  "reports",
  Effect.fn(function*(handlers) {
    const deals = yield* Deals
    return handlers.handleAll({ pipeline: () => Effect.orDie(deals.pipeline) })
  })
)

/** The routes, for any server. */
export const layerRoutes = Layer.mergeAll(
  HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
    Layer.provide([handlers, reports]),
    Layer.provide(HttpApiMiddleware.layerProblemDetails())
  ),
  HttpApiScalar.layer(Api, { path: "/docs" })
)

/** Listens on 127.0.0.1; port 0 takes a free one, which `HttpServer` knows. */
export const layerServer = (port: number) =>
  HttpRouter.serve(layerRoutes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port }))
  )
