/** Kafka for the contracts: a cluster of the test's own, and a look at what a topic holds with another client than ours. */
import { compatibilityPartitioner, Producer, stringSerializers } from "@platformatic/kafka"
import * as CloudEvent from "@zakops/events/CloudEvent"
import { KafkaPublisher, KafkaSource } from "@zakops/kafka"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { Broker, patience } from "./brokerPublisherContract.ts"
import { login } from "../kafka/frames.ts"
import { ReadableBroker } from "./brokerSourceContract.ts"
import { startKafka } from "./kafkaCluster.ts"

const run = promisify(execFile)
const topic = "events"

export interface TopicRecord {
  readonly key: string | null
  readonly partition: number
  readonly payload: string
  readonly headers: Record<string, string>
}

/** All messages of the topic, partition after partition, as kcat reads them. */
export const recordsOf = (brokers: string, topic: string) =>
  Effect.promise(async (): Promise<ReadonlyArray<TopicRecord>> => {
    const args = ["-C", "-b", brokers, "-t", topic, "-o", "beginning", "-e", "-q", "-J", "-X", "fetch.wait.max.ms=20"]
    const { stdout } = await run("kcat", args, { maxBuffer: 2 ** 28 })
    return stdout.split("\n").filter((line) => line !== "").map((line) => {
      const { headers = [], key, partition, payload } = JSON.parse(line) as Omit<TopicRecord, "headers"> & {
        readonly headers?: ReadonlyArray<string>
      }
      const named: Record<string, string> = {}
      for (let at = 0; at + 1 < headers.length; at += 2) named[headers[at] ?? ""] = headers[at + 1] ?? ""
      return { key, partition, payload, headers: named }
    })
  })

const eventsOf = (brokers: string) =>
  Effect.map(
    recordsOf(brokers, topic),
    (records) =>
      records.map(({ headers, payload }) =>
        Result.getOrThrow(CloudEvent.fromMessage(
          { contentType: headers["content-type"], headers, body: Buffer.from(payload) },
          CloudEvent.kafka
        ))
      )
  )

export const maxMessageBytes = 200_000

/** Errors of Kafka, as its protocol numbers them. */
export const notEnoughReplicas = 19
export const messageTooLarge = 10
export const topicAuthorizationFailed = 29

/** As the contract of publishers to a broker wants it. */
export const layerBroker = (mode: "structured" | "binary") =>
  Layer.effect(
    Broker,
    Effect.gen(function*() {
      const cluster = yield* startKafka
      const { brokers } = cluster
      const options = { brokers, topic, createTopics: true, mode, maxMessageBytes }
      return {
        ...cluster,
        publisher: KafkaPublisher.make(options),
        hasty: KafkaPublisher.make({ ...options, timeout: patience }),
        stranger: KafkaPublisher.make({ ...options, sasl: { mechanism: "PLAIN", ...login, password: "guessed" } }),
        refuse: cluster.refuse(notEnoughReplicas),
        received: eventsOf(cluster.behind)
      }
    })
  )

/** As the contract of sources wants it. */
export const layerReadable = Layer.effect(
  ReadableBroker,
  Effect.gen(function*() {
    const { brokers, kill, start } = yield* startKafka
    // One order for all, as the contract has it.
    const key = "all"
    const options = { brokers, topic, createTopics: true, key: () => key }
    const plain = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Producer({
          clientId: "plain",
          bootstrapBrokers: [...brokers],
          serializers: stringSerializers,
          partitioner: compatibilityPartitioner,
          autocreateTopics: true
        })
      ),
      (producer) => Effect.promise(() => producer.close(true))
    )
    const put = (headers: Record<string, string>, value: string) =>
      Effect.asVoid(Effect.promise(() => plain.send({ messages: [{ topic, key, headers, value }] })))
    return {
      publisher: KafkaPublisher.make(options),
      source: (name, given) =>
        KafkaSource.make({
          ...given,
          brokers,
          topics: [topic],
          group: name.replaceAll(" ", "-"),
          // The mock cluster has whoever joins wait for so long where somebody has left.
          sessionTimeout: Duration.seconds(4)
        }),
      again: (event) => {
        const { body, contentType, headers } = CloudEvent.toBinary(event, CloudEvent.kafka)
        return put({ ...headers, "content-type": contentType }, body)
      },
      garbage: put({}, "21.5"),
      restart: Effect.andThen(kill, start)
    }
  })
)
