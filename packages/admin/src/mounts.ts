/**
 * The handler as others take it: Node's http and Express, Fastify, Hono, and Effect's HttpRouter. In each it stands under the `basePath` of
 * its settings, which has to be the path at which it is mounted.
 */
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as Layer from "effect/Layer"
import type { IncomingMessage, ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import type { AdminHandler } from "./AdminHandler.ts"

type Handle = Pick<AdminHandler, "handle">

/** A request as Express has it by the time it comes here: with its whole path, and its body maybe read already. */
interface NodeRequest extends IncomingMessage {
  readonly originalUrl?: string | undefined
  readonly body?: unknown
}

/**
 * The body as it is read, and not before: what nobody reads Node throws away when the answer is out, where a reader that has begun would
 * have the connection cut.
 */
const toStream = (request: IncomingMessage): ReadableStream<Uint8Array> => {
  let chunks: AsyncIterator<Uint8Array> | undefined
  return new ReadableStream({
    pull: async (controller) => {
      chunks ??= request[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
      const next = await chunks.next()
      if (next.done === true) controller.close()
      else controller.enqueue(new Uint8Array(next.value))
    },
    cancel: () => {
      request.resume()
    }
  }, { highWaterMark: 0 })
}

const toBody = (request: NodeRequest): ReadableStream<Uint8Array> | string | null => {
  if (request.method === "GET" || request.method === "HEAD") return null
  // Somebody before us has read it.
  if (request.readableEnded) return request.body === undefined ? null : JSON.stringify(request.body)
  return toStream(request)
}

const toRequest = (request: NodeRequest, signal: AbortSignal): Request => {
  const headers = new Headers()
  for (let n = 0; n + 1 < request.rawHeaders.length; n += 2) {
    const name = request.rawHeaders[n] ?? ""
    // HTTP/2 has its method and path among the headers.
    if (!name.startsWith(":")) headers.append(name, request.rawHeaders[n + 1] ?? "")
  }
  const host = request.headers.host ?? request.headers[":authority"]
  const url = new URL(request.originalUrl ?? request.url ?? "/", "http://host")
  if (typeof host === "string" && headers.get("host") === null) headers.set("host", host)
  return new Request(url, {
    method: request.method ?? "GET",
    headers,
    body: toBody(request),
    signal,
    duplex: "half"
  })
}

/** For `createServer`, and for `app.use(basePath, ...)` of Express, or Connect. */
export const toNode = ({ handle }: Handle) => (request: NodeRequest, response: ServerResponse): void => {
  const gone = new AbortController()
  response.once("close", () => gone.abort())
  const send = async () => {
    const answer = await handle(toRequest(request, gone.signal))
    response.statusCode = answer.status
    for (const [name, value] of answer.headers) response.setHeader(name, value)
    if (answer.body === null || request.method === "HEAD") {
      await answer.body?.cancel()
      response.end()
      return
    }
    await pipeline(Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]), response)
  }
  // Whoever asked has gone, or has sent what is no request.
  send().catch(() => {
    if (!response.headersSent && !response.destroyed) response.writeHead(400)
    response.destroy()
  })
}

/** What this needs of Fastify. */
interface FastifyLike {
  readonly removeAllContentTypeParsers: () => void
  readonly addContentTypeParser: (
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: Error | null, body?: unknown) => void) => void
  ) => unknown
  readonly all: (
    path: string,
    handler: (
      request: { readonly raw: IncomingMessage },
      reply: { readonly raw: ServerResponse; readonly hijack: () => unknown }
    ) => void
  ) => unknown
}

/** For `fastify.register(toFastify(handler), { prefix: basePath })`. */
export const toFastify = (handler: Handle) => (fastify: FastifyLike, _options: unknown, done: () => void): void => {
  const send = toNode(handler)
  // The body is read where it is needed.
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null))
  const answer: Parameters<FastifyLike["all"]>[1] = (request, reply) => {
    reply.hijack()
    send(request.raw, reply.raw)
  }
  fastify.all("/", answer)
  fastify.all("/*", answer)
  done()
}

/** For `app.all(basePath, ...)` and `app.all(basePath + "/*", ...)` of Hono. */
export const toHono =
  ({ handle }: Handle) => (context: { readonly req: { readonly raw: Request } }): Promise<Response> =>
    handle(context.req.raw)

/** For Effect's HttpRouter: the routes below `basePath`. */
export const toHttpRouter = (
  { handle }: Handle,
  basePath: `/${string}`
): Layer.Layer<never, never, HttpRouter.HttpRouter> => {
  const route = Effect.orDie(HttpEffect.fromWebHandler(handle))
  // Which means the path itself as well.
  return HttpRouter.add("*", `${basePath}/*`, route)
}
