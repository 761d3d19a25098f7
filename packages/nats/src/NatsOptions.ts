/** Where in NATS JetStream the events are: the server, the stream, the subjects. Publisher and source of one stream take the same. */
import type { Options as CloudEventOptions } from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { StreamConfig } from "@nats-io/jetstream"
import type { NodeConnectionOptions } from "@nats-io/transport-node"
import type * as Duration from "effect/Duration"

export interface NatsOptions extends CloudEventOptions {
  /** Servers, credentials, TLS, as the client takes them. Its own reconnecting is switched off: lost connections are replaced here. */
  readonly connection: Omit<NodeConnectionOptions, "reconnect" | "waitOnFirstConnect">
  /** The stream's name. It has to be there, and take the subjects, unless `create` is given. */
  readonly stream: string
  /** What stands before an event's type in its subject: `events` unless given, which makes `events.deal.created`. */
  readonly subjectPrefix?: string | undefined
  /** The subject of an event, instead of prefix and type. The stream has to take all of them. */
  readonly subject?: ((envelope: EventEnvelope) => string) | undefined
  /** Makes the stream where it is missing, with these settings besides its name and subjects. An existing one is left as it is. */
  readonly create?: Partial<Omit<StreamConfig, "name">> | undefined
  /** `structured`, which the binding of CloudEvents asks for, unless given. A source reads both. */
  readonly mode?: "structured" | "binary" | undefined
  /** How long the server has to acknowledge a message, or to answer a question: 10 s unless given. */
  readonly timeout?: Duration.Input | undefined
}

/** The subject of an event: `prefix.type`. What a subject cannot hold is percent-encoded; a part without a name is `_`. */
export const subjectOf = (prefix: string, eventType: string): string =>
  `${prefix}.${eventType.split(".").map((part) => part === "" ? "_" : escaped(part)).join(".")}`

const escaped = (part: string) =>
  /^[\w-]+$/.test(part)
    ? part
    : encodeURIComponent(part.toWellFormed()).replaceAll(/[!'()*~]/g, (sign) =>
      `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)

export const defaultPrefix = "events"
