/**
 * A TCP proxy between the processes and Postgres, which can do what networks do: reset connections, and swallow what is sent.
 *
 * A black hole forwards nothing, or only what goes to the server, and ends in resets, as behind a router that has forgotten its connections.
 */
import * as Effect from "effect/Effect"
import type { Socket } from "node:net"
import { connect, createServer } from "node:net"

export interface Proxy {
  readonly port: number
  /** Resets each connection with this probability, and gives how many. */
  readonly reset: (chosen: () => boolean) => number
  /** From now on the chosen connections, and all new ones, are silent: gives how many, and what ends it. */
  readonly swallow: (
    chosen: () => boolean,
    what?: Swallowed
  ) => { readonly swallowed: number; readonly end: () => void }
}

/** `answers`: what clients send arrives, a COMMIT for example, and they do not hear of it. */
export type Swallowed = "everything" | "answers"

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

const resetBoth = ({ client, server }: Pair) => {
  client.resetAndDestroy()
  server.resetAndDestroy()
}

/** Runs in the scope, on a free port of loopback. */
export const makeProxy = (targetPort: number) =>
  Effect.gen(function*() {
    const pairs = new Set<Pair>()
    const silent = new Map<Pair, Swallowed>()
    let hole: Swallowed | undefined

    const listener = createServer({ noDelay: true }, (client) => {
      const server = connect({ port: targetPort, host: "127.0.0.1", noDelay: true })
      const pair = { client, server }
      pairs.add(pair)
      if (hole !== undefined) silent.set(pair, hole)
      const forward = (from: Socket, to: Socket) => {
        from.on("data", (data) => {
          const swallowed = silent.get(pair)
          if (swallowed === undefined || (swallowed === "answers" && to === server)) to.write(data)
        })
        // In the hole nobody hears of the end either.
        const close = () => {
          if (silent.has(pair)) return
          pairs.delete(pair)
          to.destroy()
        }
        from.on("error", close).on("close", close)
      }
      forward(client, server)
      forward(server, client)
    })

    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        listener.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          for (const pair of pairs) resetBoth(pair)
          listener.close()
        })
    )
    const address = listener.address()

    return {
      port: typeof address === "object" && address !== null ? address.port : 0,
      reset: (chosen) => {
        const victims = [...pairs].filter(chosen)
        for (const pair of victims) resetBoth(pair)
        return victims.length
      },
      swallow: (chosen, what = "everything") => {
        hole = what
        const victims = [...pairs].filter(chosen)
        for (const pair of victims) silent.set(pair, what)
        return {
          swallowed: victims.length,
          end: () => {
            hole = undefined
            for (const pair of silent.keys()) {
              pairs.delete(pair)
              resetBoth(pair)
            }
            silent.clear()
          }
        }
      }
    } satisfies Proxy
  })
