/** A receiver of OTLP over HTTP on loopback: it keeps what it is sent, by path. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"

export interface Received {
  readonly path: string
  readonly contentType: string
  readonly body: Buffer
}

export interface Receiver {
  readonly url: string
  readonly received: ReadonlyArray<Received>
}

/** Listens until the scope closes. */
export const otlpReceiver: Effect.Effect<Receiver, never, Scope.Scope> = Effect.gen(function*() {
  const received: Array<Received> = []
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const { headers, url: path = "" } = request
      received.push({ path, contentType: headers["content-type"] ?? "", body: Buffer.concat(chunks) })
      response.setHeader("content-type", "application/json").end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise<void>((resolve) => server.close(() => resolve()))
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}`, received }
})

interface Value {
  readonly stringValue?: string
  readonly intValue?: number | string
}

/** A span as OTLP has it in JSON, with its attributes as a record. */
export interface SentSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number
  readonly status: { readonly code: number }
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
  readonly attributes: Readonly<Record<string, string | number | undefined>>
  readonly service: string
}

interface Attribute {
  readonly key: string
  readonly value: Value
}
const record = (attributes: ReadonlyArray<Attribute>) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]))

/** The spans that were sent as JSON. */
export const spansIn = ({ received }: Receiver): ReadonlyArray<SentSpan> =>
  received.filter(({ path }) => path === "/v1/traces").flatMap(({ body }) => {
    const { resourceSpans } = JSON.parse(body.toString()) as {
      readonly resourceSpans: ReadonlyArray<{
        readonly resource: { readonly attributes: ReadonlyArray<Attribute> }
        readonly scopeSpans: ReadonlyArray<{
          readonly spans: ReadonlyArray<
            Omit<SentSpan, "attributes"> & { readonly attributes: ReadonlyArray<Attribute> }
          >
        }>
      }>
    }
    return resourceSpans.flatMap(({ resource, scopeSpans }) =>
      scopeSpans.flatMap(({ spans }) =>
        spans.map((span): SentSpan =>
          Object.assign({}, span, {
            attributes: record(span.attributes),
            service: String(record(resource.attributes)["service.name"])
          })
        )
      )
    )
  })
