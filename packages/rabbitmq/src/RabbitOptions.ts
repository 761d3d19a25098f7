/** Where in RabbitMQ the events are: the server, the exchange, the queues. Publisher and source take the same. */
import type { Options as CloudEventOptions } from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { SocketOptions } from "amqplib"
import type * as Duration from "effect/Duration"

/** A queue that has to be there, and take from the exchange. */
export interface RabbitQueue {
  readonly name: string
  /** The routing keys that it takes: all (`#`) unless given. Bound only where `create` is given. */
  readonly keys?: ReadonlyArray<string> | undefined
  /** Of a queue that is made: `quorumQueue` unless given. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined
}

/** Replicated, and read by one consumer at a time while the others stand by, so that the order is kept. */
export const quorumQueue = { "x-queue-type": "quorum", "x-single-active-consumer": true } as const

export interface RabbitOptions extends CloudEventOptions {
  /** `amqp://user:password@host:port/vhost`, or `amqps`. Heartbeats every 10 s unless it says otherwise (`?heartbeat=30`). */
  readonly url: string
  /** Of the socket: certificates, for example. */
  readonly socket?: SocketOptions | undefined
  /** The exchange that events are published to. */
  readonly exchange: string
  /** Queues that have to be there before anything is published. */
  readonly queues?: ReadonlyArray<RabbitQueue> | undefined
  /**
   * Makes a durable topic exchange, the queues and their bindings where they are missing. Without it they are looked for whenever a
   * connection opens, and nothing is published while one of them is missing.
   */
  readonly create?: boolean | undefined
  /** The routing key of an event: its type unless given. At most 255 bytes. */
  readonly routingKey?: ((envelope: EventEnvelope) => string) | undefined
  /** False: an event that no queue takes counts as delivered. Otherwise it is returned, and tried again. */
  readonly mandatory?: boolean | undefined
  /** `binary`, unless given: the data as the body and the attributes as headers. A source reads both. */
  readonly mode?: "binary" | "structured" | undefined
  /** The largest message, without its headers: 16 MiB unless given, RabbitMQ's own limit since 4.0. */
  readonly maxMessageBytes?: number | undefined
  /** How long the server has to confirm a message: 10 s unless given. */
  readonly timeout?: Duration.Input | undefined
}
