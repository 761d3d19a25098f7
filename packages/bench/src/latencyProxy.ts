/** A TCP proxy that makes a server seem further away: every answer comes later by a fixed time. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Socket } from "node:net"
import { connect, createServer } from "node:net"

/** The URL of the same database, so many milliseconds away, until the scope closes. With 0 it is the URL itself. */
export const throughProxy = (url: string, millis: number): Effect.Effect<string, never, Scope.Scope> =>
  millis === 0 ? Effect.succeed(url) : Effect.gen(function*() {
    const target = new URL(url)
    const { hostname: host, port } = target
    const sockets = new Set<Socket>()
    const server = createServer({ noDelay: true }, (client) => {
      const upstream = connect({ port: Number(port || 5432), host, noDelay: true })
      client.on("data", (data) => upstream.write(data))
      // Timers of one length end in the order in which they began.
      upstream.on("data", (data) => setTimeout(() => client.write(data), millis))
      const end = () => {
        client.destroy()
        upstream.destroy()
      }
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on("error", end).on("close", () => {
          sockets.delete(socket)
          end()
        })
      }
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    const address = server.address()
    target.hostname = "127.0.0.1"
    target.port = String(typeof address === "object" && address !== null ? address.port : 0)
    return target.toString()
  })
