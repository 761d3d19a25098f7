/** A topic of Kafka as a destination, on a cluster of its own. */
import { MultipleErrors, NetworkError, ProtocolError } from "@platformatic/kafka"
import { assert, describe, layer } from "@effect/vitest"
import { KafkaPublisher } from "@zakops/kafka"
import { classify } from "@zakops/kafka/kafkaErrors"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { anEvent, brokerPublisherContract, layerPublisher } from "../support/brokerPublisherContract.ts"
import { eventPublisherContract } from "../support/eventPublisherContract.ts"
import { layerBroker, maxMessageBytes, recordsOf } from "../support/kafka.ts"
import { missing, startKafka } from "../support/kafkaCluster.ts"

brokerPublisherContract("a topic of Kafka", layerBroker("binary"), {
  missing,
  refused: "TransportDown",
  unknown: "TransportDown",
  tooLarge: { bytes: maxMessageBytes, said: "Permanent" }
})

describe.skipIf(missing)("structured", () => {
  eventPublisherContract("a topic of Kafka, structured", layerPublisher.pipe(Layer.provide(layerBroker("structured"))))
})

describe.skipIf(missing)("KafkaPublisher", () => {
  layer(Layer.empty, { excludeTestServices: true })((it) => {
    it.effect("puts the events of a key into one partition, the one that Kafka's own clients choose", () =>
      Effect.gen(function*() {
        const { behind, brokers } = yield* startKafka
        const { publish } = yield* KafkaPublisher.make({ brokers, topic: "keyed", createTopics: true })
        const keys = ["a", "deal/1", "deal/2", "ünï", "21"]
        for (let turn = 0; turn < 3; turn++) {
          yield* Effect.forEach(keys, (orderingKey) => publish(anEvent({ orderingKey, sequence: String(turn) })), {
            concurrency: "unbounded",
            discard: true
          })
        }
        const records = yield* recordsOf(behind, "keyed")
        for (const key of keys) {
          const ofKey = records.filter((record) => record.key === key)
          assert.deepStrictEqual(ofKey.map(({ headers }) => Number(headers["ce_sequence"])), [0, 1, 2])
          assert.strictEqual(new Set(ofKey.map(({ partition }) => partition)).size, 1)
        }
        // Of "21" Kafka's murmur2 is -973932308, as its own test has it; the cluster makes topics of four partitions.
        assert.strictEqual(records.find(({ key }) => key === "21")?.partition, (-973932308 & 0x7fffffff) % 4)
      }))

    it.effect("spreads events without a key, and sends each to the topic that is asked for", () =>
      Effect.gen(function*() {
        const { behind, brokers } = yield* startKafka
        const { destination, publish } = yield* KafkaPublisher.make({
          brokers,
          topic: ({ eventType }) => `of.${eventType}`,
          createTopics: true
        })
        assert.strictEqual(destination, "Kafka")
        const events = ["one", "other"].flatMap((eventType) => Array.from({ length: 40 }, () => anEvent({ eventType })))
        yield* Effect.forEach(events, publish, { concurrency: "unbounded", discard: true })
        for (const type of ["one", "other"]) {
          const records = yield* recordsOf(behind, `of.${type}`)
          assert.sameMembers(
            records.map(({ headers }) => headers["ce_id"] ?? ""),
            events.filter(({ eventType }) => eventType === type).map(({ id }) => id)
          )
          assert.strictEqual(new Set(records.map(({ partition }) => partition)).size, 4)
        }
      }))

    it.effect("delivers to a cluster that has taken the place of another", () =>
      Effect.gen(function*() {
        const cluster = yield* startKafka
        const { brokers, replace } = cluster
        const { publish } = yield* KafkaPublisher.make({ brokers, topic: "events", createTopics: true })
        yield* publish(anEvent())
        yield* replace
        const event = anEvent()
        yield* Effect.retry(publish(event), { times: 10 })
        const records = yield* recordsOf(cluster.behind, "events")
        assert.deepStrictEqual(records.map(({ headers }) => headers["ce_id"]), [event.id])
      }))

    it("takes what Kafka says for what it is", () => {
      const said = (id: string, oneTopic = false) =>
        classify(new MultipleErrors("produce failed", [new ProtocolError(id)]), oneTopic)._tag
      for (const id of ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD"]) {
        assert.strictEqual(said(id), "Permanent")
      }
      for (
        const id of ["NOT_ENOUGH_REPLICAS", "SASL_AUTHENTICATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"]
      ) assert.strictEqual(said(id), "TransportDown")
      assert.strictEqual(said("TOPIC_AUTHORIZATION_FAILED"), "Transient")
      assert.strictEqual(said("TOPIC_AUTHORIZATION_FAILED", true), "TransportDown")
      assert.strictEqual(classify(new NetworkError("gone"), true)._tag, "TransportDown")
    })
  })
})
