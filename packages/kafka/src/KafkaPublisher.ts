/**
 * Delivers events to a topic of Kafka, each stored by all in-sync replicas before it counts as delivered.
 *
 * The key of a message is the event's ordering key, so that the events of a key share a partition, in their order; the partition is the one
 * that Kafka's own clients choose. The producer is idempotent: its own tries again store nothing twice. Messages are CloudEvents. What is
 * published at the same time is sent in one request.
 */
import { compatibilityPartitioner } from "@platformatic/kafka"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { EventPublisher, Permanent } from "@zakops/events/EventPublisher"
import * as SharedConnection from "@zakops/events/SharedConnection"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Message } from "./KafkaConnection.ts"
import * as KafkaConnection from "./KafkaConnection.ts"
import * as KafkaErrors from "./kafkaErrors.ts"
import type { KafkaOptions } from "./KafkaOptions.ts"
import { sendTogether } from "./sendTogether.ts"

export interface KafkaPublisherOptions extends KafkaOptions {
  /** Where the events go: one topic, or each event's. */
  readonly topic: string | ((envelope: EventEnvelope) => string)
  /**
   * What is kept in order: messages of the same key share a partition. The event's ordering key unless given; without a key, partitions take
   * turns. Another key is in order only as far as the events are published so.
   */
  readonly key?: ((envelope: EventEnvelope) => string | null) | undefined
  /** `binary` unless given: the data is the message's value, everything else is in its headers. A source reads both. */
  readonly mode?: "structured" | "binary" | undefined
  /** Whether a missing topic is made with the cluster's defaults, where the cluster allows that. False unless given. */
  readonly createTopics?: boolean | undefined
  /** The largest message in bytes, which must not be over the topic's `max.message.bytes`. 1,000,000 unless given. */
  readonly maxMessageBytes?: number | undefined
  /** Messages that are sent together at most: 1000 unless given. */
  readonly batchSize?: number | undefined
}

/** What a record has beside key, value and headers, at most. */
const recordOverhead = 96

/** Connects when the first event comes, also while the cluster is away. Closes with the scope. */
export const make = Effect.fnUntraced(function*(
  options: KafkaPublisherOptions
): Effect.fn.Return<External, never, Scope.Scope> {
  const { batchSize = 1000, createTopics = false, maxMessageBytes = 1_000_000, mode = "binary", topic } = options
  const toTopic = typeof topic === "string" ? () => topic : topic
  const oneTopic = typeof topic === "string"

  const isAboutMessages = (cause: unknown) => KafkaErrors.isAboutMessages(cause, oneTopic)

  // Each connection begins with another broker: one that is silent takes all the time there is, so that the others would never be asked.
  let { brokers } = options
  const open = (lost: () => void) => {
    const begin = brokers
    brokers = [...brokers.slice(1), ...brokers.slice(0, 1)]
    return KafkaConnection.open({ ...options, brokers: begin }, createTopics, isAboutMessages, lost)
  }
  const limits = { messages: batchSize, bytes: maxMessageBytes }
  const connection = yield* SharedConnection.make((lost) =>
    Effect.map(
      open(lost),
      ({ send }) =>
        sendTogether((batch: ReadonlyArray<Message>) => send(batch.map(withPartition)), isAboutMessages, limits)
    )
  )

  const keyOf = options.key ?? (({ orderingKey }: EventEnvelope) => orderingKey)

  const toMessage = (envelope: EventEnvelope): Message => {
    const key = keyOf(envelope)
    const about = { topic: toTopic(envelope), ...key === null ? {} : { key } }
    if (mode === "structured") {
      const headers = { "content-type": CloudEvent.structuredType }
      return { ...about, headers, value: CloudEvent.toStructured(envelope, options) }
    }
    const { body, contentType, headers } = CloudEvent.toBinary(envelope, CloudEvent.kafka, options)
    return { ...about, headers: { ...headers, "content-type": contentType }, value: body }
  }

  const publish = (envelope: EventEnvelope): Effect.Effect<void, PublishError> =>
    Effect.flatMap(connection.get, (send) => {
      const message = toMessage(envelope)
      const size = sizeOf(message)
      if (size > maxMessageBytes) {
        return new Permanent({
          reason: `the message has ${size} bytes, more than ${maxMessageBytes} (maxMessageBytes)`
        })
      }
      return Effect.callback<void, PublishError>((resume) => {
        send({
          message,
          size,
          done: (failure) =>
            resume(failure === undefined ? Effect.void : Effect.fail(KafkaErrors.classify(failure.cause, oneTopic)))
        })
      })
    })

  return { _tag: "External", destination: oneTopic ? `Kafka topic ${topic}` : "Kafka", system: "kafka", publish }
})

let turn = 0

/** Where Kafka's own clients would put it; those without a key in turns. */
const withPartition = (message: Message): Message => ({
  ...message,
  partition: message.key === undefined
    ? turn++ % 2 ** 31
    : compatibilityPartitioner(message, Buffer.from(message.key))
})

const sizeOf = ({ headers, key, value }: Message): number => {
  let size = recordOverhead + Buffer.byteLength(value ?? "") + Buffer.byteLength(key ?? "")
  for (const [name, text] of Object.entries((headers ?? {}) as Record<string, string>)) {
    size += Buffer.byteLength(name) + Buffer.byteLength(text) + 10
  }
  return size
}

/** The publisher as a layer. */
export const layer = (options: KafkaPublisherOptions): Layer.Layer<EventPublisher> =>
  Layer.effect(EventPublisher, make(options))
