/**
 * A channel of RabbitMQ on which each message is confirmed by itself, with any number on their way: confirmed, refused, returned because no
 * queue takes it, or lost with the channel.
 */
import type { PublishError } from "@zakops/events/EventPublisher"
import { Permanent, Transient, TransportDown } from "@zakops/events/EventPublisher"
import type { ChannelModel, ConfirmChannel, Options } from "amqplib"
import { IllegalOperationError } from "amqplib"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Connection from "./RabbitConnection.ts"
import type { ChannelLost } from "./rabbitErrors.ts"
import { channelLost, inWords, unconfirmed } from "./rabbitErrors.ts"
import type { RabbitOptions } from "./RabbitOptions.ts"

export interface Message {
  readonly id: string
  readonly routingKey: string
  readonly body: Buffer
  readonly properties: Options.Publish
}

export interface ConfirmingChannel {
  /** Succeeds when the server has the message for good. */
  readonly send: (message: Message) => Effect.Effect<void, PublishError | ChannelLost>
}

/** A connection with one channel. `lost` is called when it is of no more use. */
export const open = Effect.fnUntraced(function*(
  options: RabbitOptions,
  lost: () => void
): Effect.fn.Return<ConfirmingChannel, TransportDown, Scope.Scope> {
  const { exchange, mandatory = true } = options
  const timeout = Connection.timeoutOf(options)
  /** What is on its way, with what ends it when the channel is gone. */
  const onTheirWay = new Set<(why: ChannelLost) => void>()
  const end = (cause: unknown) => {
    lost()
    const why = channelLost(cause)
    for (const fail of onTheirWay) fail(why)
  }
  let blocked: string | undefined
  const connection: ChannelModel = yield* Connection.open(options, end)
  connection.on("blocked", (reason: string) => {
    blocked = reason
  })
  connection.on("unblocked", () => {
    blocked = undefined
  })
  yield* Connection.prepare(connection, options)
  const channel: ConfirmChannel = yield* Effect.tryPromise({
    try: () => connection.createConfirmChannel(),
    catch: (cause) => new TransportDown({ reason: `RabbitMQ gives no channel: ${inWords(cause)}` })
  })
  /** How many of an id have come back: one that no queue takes does so before its confirm, which may be one for several. */
  const returned = new Map<string, number>()
  channel.on("return", ({ properties }) => {
    const id = String(properties.messageId)
    returned.set(id, (returned.get(id) ?? 0) + 1)
  })
  const cameBack = (id: string) => {
    const count = returned.get(id)
    if (count === undefined) return false
    if (count > 1) returned.set(id, count - 1)
    else returned.delete(id)
    return true
  }
  channel.on("error", end)
  channel.once("close", () => end(new Error("the channel is closed")))

  const send = ({ body, id, properties, routingKey }: Message): Effect.Effect<void, PublishError | ChannelLost> =>
    Effect.callback((resume) => {
      if (blocked !== undefined) {
        return resume(new TransportDown({ reason: `RabbitMQ takes nothing at the moment: ${blocked}` }))
      }
      const done = (result: Effect.Effect<void, PublishError | ChannelLost>) => {
        clearTimeout(timer)
        onTheirWay.delete(fail)
        resume(result)
      }
      const fail = (why: ChannelLost) => done(Effect.fail(why))
      const timer = setTimeout(() => done(Effect.fail(unconfirmed(`no answer within ${timeout} ms`))), timeout)
      onTheirWay.add(fail)
      try {
        channel.publish(
          exchange,
          routingKey,
          body,
          { ...properties, messageId: id, mandatory, persistent: true },
          (error) => {
            const back = cameBack(id)
            if (error !== null) {
              // A channel that closes says so to each of its messages, and its own words tell more.
              if (onTheirWay.has(fail) && !isClosing(error)) {
                done(new Transient({ reason: `RabbitMQ refuses: ${inWords(error)}` }))
              }
            } else if (back) {
              done(new Transient({ reason: `no queue of exchange ${exchange} takes the routing key ${routingKey}` }))
            } else done(Effect.void)
          }
        )
      } catch (cause) {
        // A name or headers that AMQP cannot carry, or a channel that is closed.
        if (cause instanceof IllegalOperationError) fail(channelLost(cause))
        else done(new Permanent({ reason: `RabbitMQ cannot take the message: ${inWords(cause)}` }))
      }
    })
  return { send }
})

const isClosing = (error: unknown) => /channel closed/i.test(inWords(error))
