/**
 * The API and the console as one function from a web-standard Request to a Response, for whatever serves it: see `mounts.ts`.
 *
 * It stands under one path (`basePath`) and answers nothing outside of it. Without tokens it is made only where that was said in so many
 * words: whoever reaches it may then do all that it allows.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { layerApi } from "./server/api.ts"
import { ConsoleConfig } from "./server/ConsoleConfig.ts"
import { openApi, serveDocs } from "./server/docsPage.ts"
import { common } from "./server/headers.ts"
import { makeRateLimit } from "./server/RateLimit.ts"
import { finish, refusal } from "./server/responses.ts"
import { siteProblem } from "./server/site.ts"
import { builtConsole, serveFiles } from "./server/staticFiles.ts"

export interface AdminHandler {
  /** Never rejects. The request's signal ends a stream that is under way. */
  readonly handle: (request: Request) => Promise<Response>
}

/** It would have been open to everybody who can reach it. */
export class NotProtected extends Schema.TaggedError<NotProtected>()("NotProtected", { reason: Schema.String }) {
  override get message() {
    return this.reason
  }
}

export interface HandlerOptions {
  /** Serve it without any token: because nobody else can reach it, or because what stands before it asks who it is. */
  readonly open?: boolean | undefined
}

/** Requests with larger bodies are refused. */
const largestBytes = 1_048_576
const largestBody = ByteSize.bytes(largestBytes)

/**
 * The docs page and the OpenAPI document in a second, of all who ask: megabytes, for whoever asks without a token. The console's files are not
 * counted: a page asks for them all at once and would be left half loaded, and a browser keeps them.
 */
const docsRate = 5

/** The handler, for as long as the scope is open. Settings come from `ConsoleConfig`. */
export const make = Effect.fnUntraced(function*(options: HandlerOptions = {}): Effect.fn.Return<
  AdminHandler,
  InvalidSchemaName | NotProtected,
  ConsoleConfig | PgClient | SqlClient | Scope.Scope
> {
  const { basePath, hosts, tokens } = yield* ConsoleConfig
  if (tokens.length === 0 && options.open !== true) {
    return yield* new NotProtected({
      reason:
        "no token is set, and everybody could look in: set CONSOLE_TOKENS=name:role:secret, or say that it is open"
    })
  }
  const app = yield* HttpRouter.toHttpEffect(layerApi)
  const context = yield* Effect.context<never>()
  const answer = HttpEffect.toWebHandlerWith<never, HttpServerRequest | Scope.Scope>(context)(
    Effect.provideService(app, HttpIncomingMessage.MaxBodySize, largestBody)
  )
  const files = serveFiles(builtConsole())
  const docs = serveDocs(basePath)
  const document = openApi(basePath)
  const limit = makeRateLimit()
  const runPromise = Effect.runPromiseWith(context)

  const respond = async (request: Request): Promise<Response> => {
    const url = new URL(request.url)
    const path = within(basePath, url.pathname)
    if (path === undefined) return refusal(404, "NotFound", `there is nothing at ${url.pathname}`)
    const ofApi = path === "/api" || path.startsWith("/api/")
    const isPage = !ofApi || path === "/api/docs"
    const problem = siteProblem({ hosts }, {
      host: request.headers.get("host") ?? url.host,
      headers: request.headers,
      page: isPage && request.method === "GET"
    })
    if (problem !== undefined) return refusal(403, "NotThisSite", problem)
    // Its addresses are relative: without the slash they would be those of the path above.
    if (path === "") {
      return new Response(null, { status: 308, headers: { ...common, location: `${basePath.split("/").at(-1)}/` } })
    }
    if (!ofApi) return files(request, path)
    if (request.method === "GET" && (path === "/api/docs" || path === "/api/openapi.json")) {
      const retryAfter = await runPromise(limit("docs", docsRate))
      if (retryAfter > 0) {
        const message = `the docs are given ${docsRate} times a second to all together: come again in ${retryAfter} s`
        return finish(request, path, refusal(429, "TooManyRequests", message, { retryAfter }))
      }
      return path === "/api/docs" ? docs(request) : finish(request, path, Response.json(document))
    }
    if (Number(request.headers.get("content-length") ?? 0) > largestBytes) {
      return finish(request, path, new Response(null, { status: 413 }))
    }
    const inner = new URL(url)
    inner.pathname = path
    return finish(request, path, await answer(new Request(inner, request)))
  }

  /** What a GET would have been answered, to the last header, without its body. */
  const head = async (request: Request): Promise<Response> => {
    const { body, headers, status } = await respond(
      new Request(request.url, { headers: request.headers, signal: request.signal })
    )
    await body?.cancel()
    return new Response(null, { status, headers })
  }

  return {
    handle: (request) =>
      (request.method === "HEAD" ? head(request) : respond(request)).catch((error: unknown) => {
        Effect.runForkWith(context)(Effect.logError("the console's handler is broken", error))
        return refusal(500, "InternalError", "this is a defect of the program, which its log describes")
      })
  }
})

/** The handler as a service: for layers, and for programs without Effect by way of a ManagedRuntime. */
export class Admin extends Context.Service<Admin, AdminHandler>()("@zakops/admin/Admin") {
  static readonly layer = (options: HandlerOptions = {}) => Layer.effect(Admin, make(options))
}

/** The path below `basePath`; empty for itself, undefined outside. */
const within = (basePath: string, path: string): string | undefined => {
  if (!path.startsWith(basePath)) return undefined
  const rest = path.slice(basePath.length)
  return rest === "" || rest.startsWith("/") ? rest : undefined
}
