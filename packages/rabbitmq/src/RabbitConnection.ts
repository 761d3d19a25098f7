/**
 * Connections to RabbitMQ, and the topology that has to be there: looked for whenever one opens, or made where that is asked for.
 *
 * A connection that breaks fails what is on its way at once, and is replaced by the next call: see `SharedConnection`.
 */
import { TransportDown } from "@zakops/events/EventPublisher"
import type { ChannelModel } from "amqplib"
import { connect } from "amqplib"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { inWords } from "./rabbitErrors.ts"
import type { RabbitOptions } from "./RabbitOptions.ts"
import { quorumQueue } from "./RabbitOptions.ts"

/** Milliseconds that the server has to answer. */
export const timeoutOf = (options: RabbitOptions) => Duration.toMillis(options.timeout ?? "10 seconds")

const withHeartbeat = (given: string) => {
  const url = new URL(given)
  if (!url.searchParams.has("heartbeat")) url.searchParams.set("heartbeat", "10")
  return url.toString()
}

// A server that hangs does not answer, and nobody is to wait for it.
const closeConnection = (connection: ChannelModel) =>
  Effect.promise(() =>
    new Promise<void>((resolve) => {
      setTimeout(resolve, 2000).unref()
      connection.close().then(() => resolve(), () => resolve())
    })
  )

/** One connection, until the scope closes. `lost` is called with the reason when it is of no more use. */
export const open = Effect.fnUntraced(function*(
  options: RabbitOptions,
  lost: (reason: string) => void
): Effect.fn.Return<ChannelModel, TransportDown, Scope.Scope> {
  return yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const connection = await connect(withHeartbeat(options.url), {
          timeout: timeoutOf(options),
          noDelay: true,
          ...options.socket,
          clientProperties: { connection_name: "zakops-outbox", ...options.socket?.clientProperties }
        })
        // At once: an error that nobody listens for ends the process. It comes before the close that follows it, which knows less.
        connection.on("error", (cause: unknown) => lost(inWords(cause)))
        connection.once(
          "close",
          (cause: unknown) => lost(cause === undefined ? "the connection is closed" : inWords(cause))
        )
        return connection
      },
      catch: (cause) => new TransportDown({ reason: `RabbitMQ cannot be reached: ${inWords(cause)}` })
    }),
    closeConnection
  )
})

/** Looks for the exchange and the queues, or makes them. On a channel of its own: the server closes one that asked for what is missing. */
export const prepare = (
  connection: ChannelModel,
  { create = false, exchange, queues = [] }: RabbitOptions
): Effect.Effect<void, TransportDown> =>
  Effect.tryPromise({
    try: async () => {
      const channel = await connection.createChannel()
      channel.on("error", () => undefined)
      if (create) await channel.assertExchange(exchange, "topic", { durable: true })
      else await channel.checkExchange(exchange)
      for (const { arguments: given = quorumQueue, keys = ["#"], name } of queues) {
        if (!create) await channel.checkQueue(name)
        else {
          await channel.assertQueue(name, { durable: true, arguments: given })
          for (const key of keys) await channel.bindQueue(name, exchange, key)
        }
      }
      await channel.close()
    },
    catch: (cause) => new TransportDown({ reason: `RabbitMQ is not set up as it has to be: ${inWords(cause)}` })
  })
