/** What the publisher makes of a cluster that says nothing, or says no, and what it asks of it. */
import { assert, describe, layer } from "@effect/vitest"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { PublishError } from "@zakops/events/EventPublisher"
import { KafkaPublisher } from "@zakops/kafka"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AddressInfo } from "node:net"
import { createServer } from "node:net"
import { anEvent } from "../support/brokerPublisherContract.ts"
import { messageTooLarge, notEnoughReplicas, recordsOf, topicAuthorizationFailed } from "../support/kafka.ts"
import { missing, startKafka } from "../support/kafkaCluster.ts"
import { eventually, moment } from "../support/outbox.ts"
import { login, missingTopic } from "./frames.ts"

const topic = "events"

const said = (publish: Effect.Effect<void, PublishError>) => Effect.flip(publish)

const idsOf = (behind: string) =>
  Effect.map(recordsOf(behind, topic), (records) => records.map(({ headers }) => headers["ce_id"]))

/** Takes connections and says nothing. */
const silentBroker = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => {
      const server = createServer((socket) => socket.on("error", () => undefined).resume())
      return new Promise<typeof server>((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ),
  (server) => `127.0.0.1:${(server.address() as AddressInfo).port}`
)

describe.skipIf(missing)("KafkaPublisher", () => {
  layer(Layer.empty, { excludeTestServices: true })((it) => {
    const timeout = Duration.seconds(1)
    // Three tries would have three times as long.
    const atMost = 2.5 * Duration.toMillis(timeout)

    it.effect("has no more than its timeout for a request with all tries of it, and sends nothing on that connection later", () =>
      Effect.gen(function*() {
        const { behind, brokers, connections, freeze, produced, thaw } = yield* startKafka
        const { publish } = yield* KafkaPublisher.make({ brokers, topic, createTopics: true, timeout })
        const of = (n: number) => anEvent({ orderingKey: "deal/1", sequence: String(n) })
        const [opening, first, waiting] = [of(0), of(1), of(2)]
        yield* publish(opening)
        yield* freeze
        const failing = yield* Effect.forkChild(Effect.timed(said(publish(first))))
        yield* eventually(Effect.sync(() => produced.length === 2))
        const behindIt = yield* Effect.forkChild(Effect.timed(said(publish(waiting))))
        for (const fiber of [failing, behindIt]) {
          const [took, error] = yield* Fiber.join(fiber)
          assert.strictEqual(error._tag, "TransportDown")
          assert.include(error.message, "no answer within 1000 ms")
          assert.isBelow(Duration.toMillis(took), atMost)
        }
        // The request that was not answered was sent once, and what waited behind it not at all; nothing comes of them later.
        yield* thaw
        yield* moment(500)
        assert.strictEqual(produced.length, 2)
        assert.strictEqual(connections(), 0)
        for (const event of [first, waiting]) yield* Effect.retry(publish(event), { times: 10 })
        const ids = yield* idsOf(behind)
        // What was on its way may be there as well: twice, and the next one not before it.
        assert.deepStrictEqual([...new Set(ids)], [opening, first, waiting].map(({ id }) => id))
        const [old, late, ...others] = produced.map(({ batches }) => batches[0]?.producerId)
        assert.strictEqual(late, old)
        assert.notInclude(others, old)
      }))

    it.effect("has no more than its timeout for opening a connection, and begins with another broker the next time", () =>
      Effect.gen(function*() {
        const { behind, brokers } = yield* startKafka
        const silent = yield* silentBroker
        const { publish } = yield* KafkaPublisher.make({
          brokers: [silent, ...brokers],
          topic,
          createTopics: true,
          timeout
        })
        const event = anEvent()
        const [took, error] = yield* Effect.timed(said(publish(event)))
        assert.strictEqual(error._tag, "TransportDown")
        assert.isBelow(Duration.toMillis(took), atMost)
        yield* publish(event)
        assert.deepStrictEqual(yield* idsOf(behind), [event.id])
      }))

    it.effect("writes nothing more of a request that it has given up", () =>
      Effect.gen(function*() {
        const { behind, hold } = yield* startKafka
        const { publish } = yield* KafkaPublisher.make({
          brokers: [behind],
          topic,
          createTopics: true,
          timeout,
          maxMessageBytes: 100_000_000
        })
        const [before, after] = [anEvent(), anEvent()]
        yield* publish(before)
        // More than the buffers of the system hold: the rest of it is not on its way yet.
        const large = anEvent({ data: { text: "x".repeat(15_000_000) } })
        const error = yield* Effect.scoped(Effect.andThen(hold, said(publish(large))))
        assert.strictEqual(error._tag, "TransportDown")
        yield* Effect.retry(publish(after), { times: 10 })
        yield* moment(500)
        assert.deepStrictEqual(new Set(yield* idsOf(behind)), new Set([before.id, after.id]))
      }))

    it.effect("waits for all in-sync replicas, and tries again under the number that the cluster knows it by", () =>
      Effect.gen(function*() {
        const { brokers, produced, refuse } = yield* startKafka
        const { publish } = yield* KafkaPublisher.make({ brokers, topic, createTopics: true })
        const event = () => anEvent({ orderingKey: "deal/1" })
        yield* publish(event())
        yield* publish(event())
        yield* Effect.scoped(Effect.andThen(refuse(notEnoughReplicas), said(publish(event()))))
        for (const { acks, batches, transactionalId } of produced) {
          assert.strictEqual(acks, -1)
          assert.isNull(transactionalId)
          for (const { producerId } of batches) assert.isTrue(producerId >= 0n)
        }
        const batches = produced.flatMap(({ batches }) => batches)
        assert.strictEqual(new Set(batches.map(({ producerId }) => producerId)).size, 1)
        // The last one has two more tries.
        assert.deepStrictEqual(batches.map(({ sequence }) => sequence), [0, 1, 2, 2, 2])
      }))

    it.effect("says Permanent of the message that the topic finds too large, and delivers those that were sent with it", () =>
      Effect.gen(function*() {
        const { behind, brokers, produced, refuse } = yield* startKafka
        const { publish } = yield* KafkaPublisher.make({ brokers, topic, createTopics: true })
        const publishAll = (events: ReadonlyArray<EventEnvelope>) =>
          Effect.forEach(events, (event) => Effect.result(publish(event)), { concurrency: "unbounded" })
        const event = (data: Record<string, string>) => anEvent({ orderingKey: "deal/1", data })
        const before = event({})
        yield* publish(before)
        yield* refuse(messageTooLarge, 20_000)
        const events = Array.from({ length: 7 }, (_, at) => event(at === 3 ? { text: "x".repeat(30_000) } : {}))
        const results = yield* publishAll(events)
        assert.deepStrictEqual(
          results.map((result) => Result.isFailure(result) ? result.failure._tag : "delivered"),
          events.map((_, at) => at === 3 ? "Permanent" : "delivered")
        )
        // Together, and then each by itself.
        assert.strictEqual(produced.length, 1 + 1 + events.length)
        const stored = [before, ...events.filter((_, at) => at !== 3)]
        assert.deepStrictEqual(yield* idsOf(behind), stored.map(({ id }) => id))
      }))

    it.effect("says TransportDown of a topic that is forbidden, and Transient where others have other topics", () =>
      Effect.gen(function*() {
        const { brokers, refuse } = yield* startKafka
        const options = { brokers, createTopics: true }
        yield* refuse(topicAuthorizationFailed)
        const one = yield* KafkaPublisher.make({ ...options, topic })
        const error = yield* said(one.publish(anEvent()))
        assert.strictEqual(error._tag, "TransportDown")
        assert.include(error.message, "TOPIC_AUTHORIZATION_FAILED")
        const many = yield* KafkaPublisher.make({ ...options, topic: ({ eventType }) => eventType })
        assert.strictEqual((yield* said(many.publish(anEvent())))._tag, "Transient")
      }))

    it.effect("says the same of a topic that is missing, and delivers what was to go to others", () =>
      Effect.gen(function*() {
        const { behind, brokers } = yield* startKafka
        const one = yield* KafkaPublisher.make({ brokers, topic: missingTopic })
        assert.strictEqual((yield* said(one.publish(anEvent())))._tag, "TransportDown")
        const many = yield* KafkaPublisher.make({ brokers, createTopics: true, topic: ({ eventType }) => eventType })
        const events = [topic, missingTopic, topic].map((eventType) => anEvent({ eventType }))
        const results = yield* Effect.forEach(events, (event) => Effect.result(many.publish(event)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          results.map((result) => Result.isFailure(result) ? result.failure._tag : "delivered"),
          ["delivered", "Transient", "delivered"]
        )
        assert.sameMembers(yield* idsOf(behind), [events[0]?.id, events[2]?.id])
      }))

    it.effect("is let in with the right password, and says what the cluster says of a wrong one", () =>
      Effect.gen(function*() {
        const { behind, brokers } = yield* startKafka
        const publisher = (password: string) =>
          KafkaPublisher.make({
            brokers,
            topic,
            createTopics: true,
            sasl: { mechanism: "PLAIN", username: login.username, password: Redacted.make(password) }
          })
        const stranger = yield* publisher("guessed")
        const error = yield* said(stranger.publish(anEvent()))
        assert.strictEqual(error._tag, "TransportDown")
        assert.include(error.message, "SASL authentication failed")
        assert.notInclude(error.message, "guessed")
        const known = yield* publisher(login.password)
        const event = anEvent()
        yield* known.publish(event)
        assert.deepStrictEqual(yield* idsOf(behind), [event.id])
      }))
  })
})
