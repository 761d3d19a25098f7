/**
 * Delivers events to a topic of Kafka, each stored by all in-sync replicas before it counts as delivered.
 *
 * The key of a message is the event's ordering key, so that the events of a key share a partition, in their order; the partition is the one
 * that Kafka's own clients choose. The producer is idempotent: its own tries again store nothing twice. Messages are CloudEvents. What is
 * published at the same time is sent in one request.
 */
import type { MessageToProduce } from "@platformatic/kafka"
import { compatibilityPartitioner, ProduceAcks, Producer, stringSerializers } from "@platformatic/kafka"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { EventPublisher, Permanent, TransportDown } from "@zakops/events/EventPublisher"
import * as SharedConnection from "@zakops/events/SharedConnection"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { classify, inWords, isAboutMessages } from "./kafkaErrors.ts"
import type { KafkaOptions } from "./KafkaOptions.ts"
import { clientOptions } from "./KafkaOptions.ts"
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

type Message = MessageToProduce<string, string, string, string>

/** What a record has beside key, value and headers, at most. */
const recordOverhead = 96

/** Connects when the first event comes, also while the cluster is away. Closes with the scope. */
export const make = Effect.fnUntraced(function*(
  options: KafkaPublisherOptions
): Effect.fn.Return<External, never, Scope.Scope> {
  const { batchSize = 1000, createTopics = false, maxMessageBytes = 1_000_000, mode = "binary", topic } = options
  const toTopic = typeof topic === "string" ? () => topic : topic
  const oneTopic = typeof topic === "string"

  const connection = yield* SharedConnection.make((lost) =>
    open(options, createTopics, lost, batchSize, maxMessageBytes)
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
            resume(failure === undefined ? Effect.void : Effect.fail(classify(failure.cause, oneTopic)))
        })
      })
    })

  return { _tag: "External", destination: oneTopic ? `Kafka topic ${topic}` : "Kafka", system: "kafka", publish }
})

/** A producer, until the scope closes. One that has failed is of no more use: its connections and its numbering begin anew. */
const open = Effect.fnUntraced(function*(
  options: KafkaPublisherOptions,
  createTopics: boolean,
  lost: () => void,
  messages: number,
  bytes: number
) {
  const producer = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new Producer<string, string, string, string>({
        ...clientOptions(options),
        idempotent: true,
        acks: ProduceAcks.ALL,
        // As Kafka's own clients ask for a new number.
        producerId: -1n,
        producerEpoch: -1,
        serializers: stringSerializers,
        autocreateTopics: createTopics,
        // Fewer than two would mean for ever. The outbox tries again by itself.
        retries: 2,
        retryDelay: 50
      })
    ),
    (producer) => Effect.promise(() => producer.close(true).catch(() => undefined))
  )
  // Nobody may have a topic yet: whether anybody is there is what counts.
  yield* Effect.tryPromise({
    try: () => producer.metadata({ topics: [] }),
    catch: (cause) => new TransportDown({ reason: `Kafka cannot be reached: ${inWords(cause)}` })
  })
  const send = async (batch: ReadonlyArray<Message>) => {
    try {
      await producer.send({ messages: batch.map(withPartition) })
    } catch (cause) {
      if (!isAboutMessages(cause)) lost()
      throw cause
    }
  }
  return sendTogether(send, isAboutMessages, { messages, bytes })
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
