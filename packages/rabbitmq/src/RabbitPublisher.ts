/**
 * Delivers events to an exchange of RabbitMQ: durable, each confirmed by the server before it counts as delivered, and returned where no
 * queue takes it.
 *
 * RabbitMQ knows no duplicates: the event's id is the message's id, for consumers to look at. Messages are CloudEvents. Many are on their
 * way at the same time; those of one ordering key one after another, as the outbox calls.
 */
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { EventPublisher } from "@zakops/events/EventPublisher"
import * as SharedConnection from "@zakops/events/SharedConnection"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Message } from "./ConfirmingChannel.ts"
import * as ConfirmingChannel from "./ConfirmingChannel.ts"
import { tooLarge, unconfirmed } from "./rabbitErrors.ts"
import type { RabbitOptions } from "./RabbitOptions.ts"

const defaultLimit = 16 * 1024 * 1024
// A channel that goes down with one message takes the others along: they are sent again, also where several are too large.
const mostTries = 5

/** Connects when the first event comes, also while the server is away. Closes with the scope. */
export const make = Effect.fnUntraced(function*(
  options: RabbitOptions
): Effect.fn.Return<External, never, Scope.Scope> {
  const channel = yield* SharedConnection.make((lost) => ConfirmingChannel.open(options, lost))
  const { mode = "binary", routingKey = ({ eventType }) => eventType } = options
  let limit = options.maxMessageBytes ?? defaultLimit

  const toMessage = (envelope: EventEnvelope): Message => {
    const about = {
      id: envelope.id,
      routingKey: routingKey(envelope)
    }
    const timestamp = Math.floor(envelope.createdAt.getTime() / 1000)
    if (mode === "structured") {
      const body = Buffer.from(CloudEvent.toStructured(envelope, options))
      return { ...about, body, properties: { contentType: CloudEvent.structuredType, timestamp } }
    }
    const { body, contentType, headers } = CloudEvent.toBinary(envelope, CloudEvent.amqp, options)
    return { ...about, body: Buffer.from(body), properties: { contentType, headers, timestamp } }
  }

  const send = (message: Message, tries: number): Effect.Effect<void, PublishError> => {
    if (message.body.length > limit) return Effect.fail(tooLarge(message.body.length, limit))
    return Effect.flatMap(channel.get, ({ send }) => send(message)).pipe(
      Effect.catchTag("ChannelLost", (lost) => {
        if (lost.limit === undefined || tries >= mostTries) return Effect.fail(unconfirmed(lost.reason))
        // The server's limit is lower than ours: one of those on the channel was too large, this one or another.
        limit = Math.min(limit, lost.limit)
        return send(message, tries + 1)
      })
    )
  }

  return {
    _tag: "External",
    destination: `RabbitMQ exchange ${options.exchange}`,
    system: "rabbitmq",
    publish: (envelope) => Effect.suspend(() => send(toMessage(envelope), 1))
  }
})

/** The publisher as a layer. */
export const layer = (options: RabbitOptions): Layer.Layer<EventPublisher> =>
  Layer.effect(EventPublisher, make(options))
