/** A rabbitmq-server of a test file's own, and a look at what a queue of it holds. */
import { env } from "@zakops/bench/brokers/machine"
import { rabbitCommand, rabbitControl, rabbitNode } from "@zakops/bench/brokers/rabbitNode"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { RabbitOptions } from "@zakops/rabbitmq"
import { RabbitPublisher, RabbitSource } from "@zakops/rabbitmq"
import type { ChannelModel, ConsumeMessage } from "amqplib"
import { connect } from "amqplib"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll } from "vitest"
import { Broker, patience } from "./brokerPublisherContract.ts"
import { isMissing, startServer } from "./brokers.ts"
import { ReadableBroker, sourceNames } from "./brokerSourceContract.ts"

export const missing = isMissing(rabbitCommand)

/** The largest body of a message. */
export const maxMessageSize = 64 * 1024

/** Starts one with the user `zakops`, whose password is `secret`. */
export const startRabbit = Effect.gen(function*() {
  const { folder, port, variables } = yield* rabbitNode("zakops", [
    `max_message_size = ${maxMessageSize}`,
    "default_user = zakops",
    "default_pass = secret",
    "disk_free_limit.absolute = 1MB",
    "log.file = false",
    "log.console = true",
    "log.console.level = warning"
  ])
  const url = `amqp://zakops:secret@127.0.0.1:${port}`
  const server = yield* startServer({
    command: rabbitCommand,
    args: [],
    cwd: folder,
    env: variables,
    // While it is starting it takes connections and resets them.
    isUp: () => takesConnections(url)
  })
  const control = (...args: ReadonlyArray<string>) =>
    Effect.promise(() => run(rabbitControl, [...args], { env: { ...env, ...variables }, timeout: 30_000 }))
  /**
   * Has it write down what it knows of exchanges, queues and bindings. It does that by itself a second or two later; killed before, it has
   * forgotten bindings, or has a quorum queue that confirms nothing any more.
   */
  const writeDown = Effect.map(
    control("eval", "[dets:sync(Table) || Table <- dets:all()], mnesia:sync_log()."),
    ({ stdout }) => assert.strictEqual(stdout.trim(), "ok")
  )
  const memory = (share: number) => Effect.asVoid(control("set_vm_memory_high_watermark", String(share)))
  /** Has it find its memory full, and block whoever publishes, until the scope closes. It may take a moment to notice either. */
  const block = Effect.acquireRelease(memory(0), () => memory(0.4))
  return { server, url, writeDown, block }
})

const run = promisify(execFile)

const connectTo = async (url: string) => {
  const connection = await connect(url, { timeout: 5000 })
  // A test that runs out of time may leave it open, and the server ends.
  connection.on("error", () => undefined)
  return connection
}

const takesConnections = (url: string) =>
  connectTo(url).then((connection) => connection.close()).then(() => true, () => false)

let running: Effect.Success<typeof startRabbit> | undefined

/** Starts one server for all suites of the file: it takes its time. */
export const oneServerForAll = () => {
  const scope = Scope.makeUnsafe()
  beforeAll(async () => {
    if (!missing) running = await Effect.runPromise(Scope.provide(startRabbit, scope))
  }, 180_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
}

export const theServer = Effect.sync(() =>
  running ?? (() => {
    throw new Error("RabbitMQ was not started")
  })()
)

/** Runs `use` with a connection of its own. */
export const withConnection = <A>(url: string, use: (connection: ChannelModel) => Promise<A>) =>
  Effect.promise(async () => {
    const connection = await connectTo(url)
    try {
      return await use(connection)
    } finally {
      await connection.close()
    }
  })

/** All events of a queue, in its order; they stay there. All have to be of the mode. */
export const eventsOf = (url: string, queue: string, mode: "structured" | "binary" = "binary") =>
  withConnection(url, async (connection) => {
    const channel = await connection.createChannel()
    const { messageCount } = await channel.checkQueue(queue)
    const messages: Array<ConsumeMessage> = []
    if (messageCount > 0) {
      await new Promise<void>((resolve) =>
        channel.consume(queue, (message) => {
          if (message === null || messages.length === messageCount) return
          messages.push(message)
          if (messages.length === messageCount) resolve()
        })
      )
    }
    // What was not acknowledged goes back to its place.
    await channel.close()
    return messages.map(({ content, properties: { contentType, headers = {} } }) => {
      assert.strictEqual(contentType, mode === "binary" ? CloudEvent.binaryType : CloudEvent.structuredType)
      return Result.getOrThrow(CloudEvent.fromMessage({ contentType, headers, body: content }, CloudEvent.amqp))
    })
  })

/** As the contract of publishers to a broker wants it. */
export const layerBroker = (mode: "structured" | "binary") =>
  Layer.effect(
    Broker,
    Effect.gen(function*() {
      const { server, url, writeDown } = yield* theServer
      const exchange = `events ${randomUUID()}`
      const queue = `all of ${exchange}`
      const options: RabbitOptions = { url, exchange, mode }
      const bind = (how: "bindQueue" | "unbindQueue") =>
        Effect.andThen(
          withConnection(url, async (connection) => {
            const channel = await connection.createChannel()
            await channel[how](queue, exchange, "#")
            await channel.close()
          }),
          writeDown
        )
      yield* withConnection(url, async (connection) => {
        const channel = await connection.createChannel()
        await channel.assertExchange(exchange, "topic", { durable: true })
        await channel.assertQueue(queue, { durable: true })
        await channel.close()
      })
      yield* bind("bindQueue")
      return {
        ...server,
        publisher: RabbitPublisher.make(options),
        hasty: RabbitPublisher.make({ ...options, timeout: patience }),
        stranger: RabbitPublisher.make({ ...options, url: url.replace("secret", "guessed") }),
        received: eventsOf(url, queue, mode),
        refuse: Effect.acquireRelease(bind("unbindQueue"), () => bind("bindQueue"))
      }
    })
  )

/** As the contract of sources of a broker wants it. */
export const layerReadable = Layer.effect(
  ReadableBroker,
  Effect.gen(function*() {
    const { server, url, writeDown } = yield* theServer
    const exchange = `events ${randomUUID()}`
    const queueOf = (name: string) => `${name} of ${exchange}`
    const options: RabbitOptions = {
      url,
      exchange,
      queues: sourceNames.map((name) => ({ name: queueOf(name) })),
      create: true
    }
    const publish = (body: string) =>
      withConnection(url, async (connection) => {
        const channel = await connection.createConfirmChannel()
        channel.publish(exchange, "deal.made", Buffer.from(body), {
          contentType: CloudEvent.structuredType,
          persistent: true
        })
        await channel.waitForConfirms()
        await channel.close()
      })
    return {
      publisher: RabbitPublisher.make(options),
      source: (name, given) => RabbitSource.make({ ...options, ...given, queue: queueOf(name) }),
      again: (event) => publish(CloudEvent.toStructured(event)),
      garbage: publish("no JSON"),
      restart: Effect.andThen(writeDown, Effect.andThen(server.kill, server.start))
    }
  })
)
