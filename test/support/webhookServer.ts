/** A receiver of webhooks that a test steers: what it answers, and a record of what it was sent. */
import * as Effect from "effect/Effect"
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

export interface ReceivedRequest {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface WebhookServer {
  readonly url: string
  readonly port: number
  readonly requests: Array<ReceivedRequest>
  /** What has connected so far, whether or not it has sent anything. */
  readonly connections: () => number
  /** 204 unless set. */
  answer: (request: ReceivedRequest, response: ServerResponse) => void
}

const bodyOf = async (request: IncomingMessage) => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const listen = (server: Server, host: string, port: number) =>
  new Promise<number>((resolve, reject) => {
    server.once("error", reject)
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })

/** Listens on a free port until the scope closes. */
export const webhookServer = Effect.fnUntraced(function*(host = "127.0.0.1", port = 0) {
  const requests: Array<ReceivedRequest> = []
  let connections = 0
  const steered: WebhookServer = {
    url: "",
    port: 0,
    requests,
    connections: () => connections,
    answer: (_, response) => response.writeHead(204).end()
  }
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const received = { url: request.url ?? "", headers: request.headers, body }
      requests.push(received)
      steered.answer(received, response)
    }, () => {})
  }).on("connection", () => connections++)
  const bound = yield* Effect.acquireRelease(
    Effect.promise(() => listen(server, host, port)),
    () =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        })
      )
  )
  return Object.assign(steered, { url: `http://${host}:${bound}/hook`, port: bound })
})
