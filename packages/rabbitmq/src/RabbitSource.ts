/**
 * Events of a queue of RabbitMQ as an `EventSource`: each message is acknowledged by itself, after it was handled.
 *
 * In the queue's order where one consumer reads at a time, which the queues that are made here see to (`quorumQueue`): the others stand by,
 * and one of them goes on when the reader stops or dies. What it had not acknowledged comes first then.
 */
import type { Delivery, Options as SourceOptions, Session } from "@zakops/events/BrokerSource"
import * as BrokerSource from "@zakops/events/BrokerSource"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventSource } from "@zakops/events/EventSource"
import type { ConsumeMessage } from "amqplib"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { inWords } from "./rabbitErrors.ts"
import * as Connection from "./RabbitConnection.ts"
import type { RabbitOptions } from "./RabbitOptions.ts"

export interface RabbitSourceOptions extends RabbitOptions, SourceOptions {
  /** The queue that is read. One of `queues`, where it is to be made. */
  readonly queue: string
  /** How many messages at a time: 100 unless given. */
  readonly batchSize?: number | undefined
  /** How many messages may be unacknowledged, those set aside among them; with so many, no more come. 1000 unless given. */
  readonly maxPending?: number | undefined
}

/** The source. It connects when it is consumed. */
export const make = (options: RabbitSourceOptions): EventSource =>
  BrokerSource.make(`RabbitMQ queue ${options.queue}`, "rabbitmq", open(options), options)

const open = Effect.fnUntraced(function*(options: RabbitSourceOptions): Effect.fn.Return<
  Session,
  BrokerSource.SessionLost,
  Scope.Scope
> {
  const { batchSize = 100, maxPending = 1000, queue } = options
  const lost = (what: string) => (cause: unknown) =>
    new BrokerSource.SessionLost({ reason: `${what}: ${inWords(cause)}` })
  const arrived = yield* Queue.unbounded<ConsumeMessage, BrokerSource.SessionLost>()
  const end = (reason: string) => {
    Queue.failCauseUnsafe(arrived, Cause.fail(new BrokerSource.SessionLost({ reason })))
  }
  const connection = yield* Effect.mapError(
    Effect.tap(Connection.open(options, end), (connection) => Connection.prepare(connection, options)),
    ({ reason }) => new BrokerSource.SessionLost({ reason })
  )
  const channel = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const channel = await connection.createChannel()
        channel.on("error", (cause: unknown) => end(inWords(cause)))
        channel.once("close", () => end("the channel is closed"))
        await channel.prefetch(maxPending)
        return channel
      },
      catch: lost("RabbitMQ gives no channel")
    }),
    (channel) => Effect.promise(() => within(() => channel.close()))
  )
  yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        channel.consume(queue, (message) => {
          if (message === null) end(`the queue ${queue} is gone`)
          else Queue.offerUnsafe(arrived, message)
        }),
      catch: lost(`the queue ${queue} cannot be read`)
    }),
    // Answered when the queue has what was acknowledged before it: otherwise the next consumer gets that again.
    ({ consumerTag }) => Effect.promise(() => within(() => channel.cancel(consumerTag)))
  )

  const settle = (message: ConsumeMessage, how: "ack" | "reject") =>
    Effect.try({
      try: () => how === "ack" ? channel.ack(message) : channel.reject(message, false),
      catch: lost("it cannot be acknowledged")
    })
  const deliver = (message: ConsumeMessage): Delivery => {
    const { contentType, messageId, timestamp } = message.properties
    return {
      envelope: CloudEvent.fromMessage(
        { contentType, headers: message.properties.headers ?? {}, body: message.content },
        CloudEvent.amqp,
        typeof timestamp === "number" ? { receivedAt: new Date(timestamp * 1000) } : {}
      ),
      place: `message ${messageId ?? message.fields.deliveryTag} of queue ${queue}`,
      acknowledge: settle(message, "ack"),
      reject: settle(message, "reject")
    }
  }
  return {
    // At least one, as the queue was asked.
    take: Effect.map(
      Queue.takeBetween(arrived, 1, batchSize),
      (messages) => Arr.map(messages as Arr.NonEmptyArray<ConsumeMessage>, deliver)
    )
  }
})

// A server that hangs does not answer, and a channel that is closed throws.
const within = (close: () => Promise<unknown>) =>
  Promise.race([
    Promise.resolve().then(close).catch(() => undefined),
    new Promise((resolve) => setTimeout(resolve, 2000).unref())
  ])
