/** What is lost or refused by RabbitMQ, and what that means for an event. */
import { Permanent, TransportDown } from "@zakops/events/EventPublisher"
import * as Schema from "effect/Schema"

/** The message of an error, or of what was thrown instead of one. */
export const inWords = (cause: unknown): string =>
  cause instanceof AggregateError && cause.message === ""
    ? cause.errors.map(inWords).join(", ")
    : cause instanceof Error
    ? cause.message || cause.name
    : String(cause)

/**
 * The server has closed the channel because of one of the messages on it: which is too large, and has taken the others with it. `limit` is
 * what the server takes, in bytes.
 */
export class ChannelLost extends Schema.TaggedError<ChannelLost>()("ChannelLost", {
  reason: Schema.String,
  limit: Schema.optional(Schema.Int)
}) {
  override get message() {
    return this.reason
  }
}

/** Why a channel is gone. */
export const channelLost = (cause: unknown): ChannelLost => {
  const reason = inWords(cause)
  const limit = /larger than (?:configured )?max size (\d+)/.exec(reason)?.[1]
  return new ChannelLost({ reason, ...limit === undefined ? {} : { limit: Number(limit) } })
}

export const tooLarge = (bytes: number, limit: number) =>
  new Permanent({ reason: `RabbitMQ takes messages of at most ${limit} bytes, and this one has ${bytes}` })

/** No confirm in time, or a connection that broke: the message may have been stored, and has its id against a second time. */
export const unconfirmed = (reason: string) => new TransportDown({ reason: `RabbitMQ did not confirm: ${reason}` })
