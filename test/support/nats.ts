/** A nats-server of a test's own with JetStream, and a look at what its stream holds. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { headers as makeHeaders } from "@nats-io/nats-core"
import { connect } from "@nats-io/transport-node"
import * as CloudEvent from "@zakops/events/CloudEvent"
import * as NatsPublisher from "@zakops/nats/NatsPublisher"
import * as NatsSource from "@zakops/nats/NatsSource"
import type { NatsOptions } from "@zakops/nats/NatsOptions"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Broker, patience } from "./brokerPublisherContract.ts"
import { ReadableBroker } from "./brokerSourceContract.ts"
import { freePort, isListening, isMissing, startServer, temporaryFolder } from "./brokers.ts"

export const missing = isMissing("nats-server")

/** Of one message, headers included. */
export const maxPayload = 64 * 1024

/** A user with the password of the other, who may publish nothing under `forbiddenSubject`. */
export const restrictedUser = "restricted"
export const forbiddenSubject = "events.secret"

/** Starts one that lets in a user, who may do anything, and `restrictedUser`. */
export const startNats = Effect.fnUntraced(function*(user = "zakops", pass = "secret") {
  const folder = yield* temporaryFolder("nats")
  const port = yield* Effect.promise(freePort)
  const settings = join(folder, "nats.conf")
  const password = JSON.stringify(pass)
  yield* Effect.promise(() =>
    writeFile(
      settings,
      `listen: "127.0.0.1:${port}"
jetstream { store_dir: ${JSON.stringify(folder)} }
max_payload: ${maxPayload}
authorization { users: [
  { user: ${JSON.stringify(user)}, password: ${password} }
  { user: ${restrictedUser}, password: ${password}, permissions: { publish: { deny: "${forbiddenSubject}.>" } } }
] }
`
    )
  )
  const server = yield* startServer({
    command: "nats-server",
    args: ["-c", settings],
    isUp: () => isListening(port)
  })
  const connection = { servers: `127.0.0.1:${port}`, user, pass }
  return { server, connection }
})

type Connection = NatsOptions["connection"]

/** Runs `use` with a manager of its own. */
export const manage = <A>(
  connection: Connection,
  use: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<A>
) =>
  Effect.promise(async () => {
    const client = await connect(connection)
    try {
      return await use(await jetstreamManager(client, { checkAPI: false }))
    } finally {
      await client.close()
    }
  })

/** Whether JetStream has found its streams again; it accepts connections before that. */
export const untilStream = (connection: Connection, stream: string) =>
  Effect.promise(async () => {
    const end = performance.now() + 30_000
    while (true) {
      try {
        const client = await connect(connection)
        try {
          return void (await (await jetstreamManager(client)).streams.info(stream))
        } finally {
          await client.close()
        }
      } catch (error) {
        if (performance.now() > end) throw error
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  })

/** All events of the stream, in its order. */
export const eventsOf = (connection: Connection, stream: string) =>
  manage(connection, async (manager) => {
    const { state } = await manager.streams.info(stream)
    const events = []
    for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
      const message = await manager.streams.getMessage(stream, { seq })
      if (message === null) continue
      const headers: Record<string, string> = {}
      for (const [name, values] of message.header) headers[name] = values[0] ?? ""
      events.push(Result.getOrThrow(CloudEvent.fromMessage(
        { contentType: headers["content-type"], headers, body: message.data },
        CloudEvent.nats
      )))
    }
    return events
  })

/** As the contract of publishers to a broker wants it. */
export const layerBroker = (mode: "structured" | "binary") =>
  Layer.effect(
    Broker,
    Effect.gen(function*() {
      const { connection, server } = yield* startNats()
      const stream = "EVENTS"
      const options: NatsOptions = { connection, stream, create: { max_msgs: 10_000 }, mode }
      yield* manage(connection, (manager) => manager.streams.add({ name: stream, subjects: ["events.>"] }))
      const limit = (max: number, discard: "new" | "old") =>
        manage(connection, (manager) => manager.streams.update(stream, { max_msgs: max, discard }))
      return {
        ...server,
        start: Effect.andThen(server.start, untilStream(connection, stream)),
        publisher: NatsPublisher.make(options),
        hasty: NatsPublisher.make({ ...options, timeout: patience }),
        stranger: NatsPublisher.make({ ...options, connection: { ...connection, pass: "guessed" } }),
        received: eventsOf(connection, stream),
        refuse: Effect.acquireRelease(Effect.asVoid(limit(1, "new")), () => limit(-1, "old"))
      }
    })
  )

/** As the contract of sources of a broker wants it. */
export const layerReadable = Layer.effect(
  ReadableBroker,
  Effect.gen(function*() {
    const { connection, server } = yield* startNats()
    const stream = "EVENTS"
    const options: NatsOptions = { connection, stream, create: {} }
    const publish = (body: string) =>
      Effect.promise(async () => {
        const client = await connect(connection)
        const headers = makeHeaders()
        headers.set("content-type", CloudEvent.structuredType)
        // Without an id that the stream could know.
        await jetstream(client).publish("events.deal.made", body, { headers })
        await client.close()
      })
    return {
      publisher: NatsPublisher.make(options),
      source: (name, given) =>
        NatsSource.make({ ...options, ...given, consumer: name.replaceAll(" ", "_"), ackWait: "2 seconds" }),
      again: (event) => publish(CloudEvent.toStructured(event)),
      garbage: publish("no JSON"),
      restart: Effect.andThen(server.kill, Effect.andThen(server.start, untilStream(connection, stream)))
    }
  })
)
