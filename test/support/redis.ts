/** A redis-server of a test's own that keeps what it has acknowledged, and a look at what a stream holds. */
import * as CloudEvent from "@zakops/events/CloudEvent"
import { RedisPublisher, RedisSource } from "@zakops/redis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createClient } from "redis"
import { Broker, patience } from "./brokerPublisherContract.ts"
import { ReadableBroker } from "./brokerSourceContract.ts"
import { freePort, isMissing, startServer, temporaryFolder } from "./brokers.ts"

export const missing = isMissing("redis-server")

/** The largest value that the server takes: the least that it can be told. */
export const maxBulk = 1024 * 1024

const clientOf = (url: string) => createClient({ url, socket: { reconnectStrategy: false, connectTimeout: 5000 } })
type Client = ReturnType<typeof clientOf>

/** Runs `use` with a connection of its own. */
export const withRedis = async <A>(url: string, use: (client: Client) => Promise<A>): Promise<A> => {
  const client = clientOf(url)
  client.on("error", () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    client.destroy()
  }
}

/** Starts one whose password is `secret`. */
export const startRedis = Effect.gen(function*() {
  const folder = yield* temporaryFolder("redis")
  const port = yield* Effect.promise(freePort)
  const url = `redis://:secret@127.0.0.1:${port}`
  const settings = {
    bind: "127.0.0.1",
    port,
    dir: folder,
    requirepass: "secret",
    appendonly: "yes",
    appendfsync: "always",
    save: "",
    "proto-max-bulk-len": maxBulk
  }
  const server = yield* startServer({
    command: "redis-server",
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    // While it loads what it has stored it says so.
    isUp: () => withRedis(url, (client) => client.ping()).then(() => true, () => false)
  })
  return { server, url }
})

/** All events of the stream, in its order. */
export const eventsOf = (url: string, stream: string) =>
  Effect.promise(() =>
    withRedis(
      url,
      async (client) =>
        (await client.xRange(stream, "-", "+") ?? []).map(({ message }) =>
          Result.getOrThrow(CloudEvent.fromStructured(message["event"] ?? ""))
        )
    )
  )

/** As the contract of publishers to a broker wants it. */
export const layerBroker = Layer.effect(
  Broker,
  Effect.gen(function*() {
    const { server, url } = yield* startRedis
    const stream = "events"
    const options = { url: Redacted.make(url), stream, trim: { maxLength: 100_000 } }
    const limit = (bytes: number) =>
      Effect.promise(() => withRedis(url, (client) => client.configSet("maxmemory", String(bytes))))
    return {
      ...server,
      publisher: RedisPublisher.make(options),
      hasty: RedisPublisher.make({ ...options, timeout: patience }),
      stranger: RedisPublisher.make({ ...options, url: Redacted.make(url.replace("secret", "guessed")) }),
      received: eventsOf(url, stream),
      refuse: Effect.asVoid(Effect.acquireRelease(limit(1), () => limit(0)))
    }
  })
)

/** As the contract of sources wants it. */
export const layerReadable = Layer.effect(
  ReadableBroker,
  Effect.gen(function*() {
    const { server, url } = yield* startRedis
    const stream = "events"
    const options = { url: Redacted.make(url), stream }
    const add = (message: Record<string, string>) =>
      Effect.asVoid(Effect.promise(() => withRedis(url, (client) => client.xAdd(stream, "*", message))))
    return {
      publisher: RedisPublisher.make({ ...options, trim: "never" }),
      source: (name, given) => RedisSource.make({ ...options, ...given, group: name }),
      again: (event) => add({ event: CloudEvent.toStructured(event) }),
      garbage: add({ temperature: "21.5" }),
      restart: Effect.andThen(server.kill, server.start)
    }
  })
)
