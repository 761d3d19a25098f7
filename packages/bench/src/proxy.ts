/** A TCP proxy in front of Postgres, which a test steers, and which makes it seem further away: connections that are cut at a word, or that hear nothing any more. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Socket } from "node:net"
import { connect, createServer } from "node:net"

export interface Proxy {
  /** The given URL, through the proxy. */
  readonly url: string
  /**
   * Cuts the connection that says `word` next: when the server has answered it (`answered`), or before the server gets to hear it. Once.
   */
  readonly cutAt: (word: string, when: "answered" | "unheard") => void
  /** Nothing comes back any more on the connection that says `word` next. Once. */
  readonly deafenAt: (word: string) => void
  /** From now on nothing comes back on the connections that are open. New ones work. */
  readonly deafen: () => void
  /** From now on every answer comes later by so many milliseconds, as from a server that is that far away. */
  readonly delay: (millis: number) => void
  /** While it is shut all connections are cut, as where the server is out of reach. */
  readonly shut: (is: boolean) => void
  readonly connections: () => number
}

const listening = (server: ReturnType<typeof createServer>) =>
  new Promise<number>((resolve, reject) => {
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    })
  })

/** In front of the server of `url`, until the scope closes. */
export const startProxy = (url: string): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const target = new URL(url)
    const open = new Set<{ readonly client: Socket; readonly server: Socket; deaf: boolean }>()
    let latency = 0
    let isShut = false
    let cut: { readonly word: string; readonly when: "answered" | "unheard" | "deaf" } | undefined
    const server = createServer({ noDelay: true }, (client) => {
      if (isShut) return void client.on("error", () => {}).destroy()
      const upstream = connect({ port: Number(target.port || 5432), host: target.hostname, noDelay: true })
      const pair = { client, server: upstream, deaf: false }
      open.add(pair)
      let cutOnAnswer = false
      const end = () => {
        open.delete(pair)
        client.destroy()
        upstream.destroy()
      }
      client.on("data", (data) => {
        if (cut !== undefined && data.includes(cut.word)) {
          const { when } = cut
          cut = undefined
          if (when === "unheard") return end()
          if (when === "deaf") pair.deaf = true
          else cutOnAnswer = true
        }
        upstream.write(data)
      })
      upstream.on("data", (data) => {
        if (cutOnAnswer) return end()
        if (pair.deaf) return
        if (latency > 0) setTimeout(() => client.write(data), latency)
        else client.write(data)
      })
      for (const socket of [client, upstream]) socket.on("error", end).on("close", end)
    })
    const port = yield* Effect.acquireRelease(
      Effect.promise(() => listening(server)),
      () =>
        Effect.promise(() =>
          new Promise<void>((resolve) => {
            for (const { client, server } of open) {
              client.destroy()
              server.destroy()
            }
            server.close(() => resolve())
          })
        )
    )
    const through = new URL(url)
    through.hostname = "127.0.0.1"
    through.port = String(port)
    return {
      url: through.toString(),
      cutAt: (word, when) => {
        cut = { word, when }
      },
      deafenAt: (word) => {
        cut = { word, when: "deaf" }
      },
      deafen: () => {
        for (const pair of open) pair.deaf = true
      },
      delay: (millis) => {
        latency = millis
      },
      shut: (is) => {
        isShut = is
        if (!is) return
        for (const { client, server } of open) {
          client.destroy()
          server.destroy()
        }
      },
      connections: () => open.size
    }
  })
