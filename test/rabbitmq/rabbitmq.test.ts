/** RabbitMQ as a destination and as a source, on a server of its own. */
import { assert, describe, it } from "@effect/vitest"
import type { PublishError } from "@zakops/events/EventPublisher"
import { RabbitPublisher, RabbitSource } from "@zakops/rabbitmq"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { layerRabbit, mailsFromRabbit } from "../docs/brokers.ts"
import { runExample } from "../support/brokerExample.ts"
import { anEvent, brokerPublisherContract, layerPublisher, patience } from "../support/brokerPublisherContract.ts"
import { brokerSourceContract } from "../support/brokerSourceContract.ts"
import { eventPublisherContract } from "../support/eventPublisherContract.ts"
import { eventually } from "../support/outbox.ts"
import {
  eventsOf,
  layerBroker,
  layerReadable,
  maxMessageSize,
  missing,
  oneServerForAll,
  theServer,
  withConnection
} from "../support/rabbitmq.ts"

oneServerForAll()

brokerPublisherContract("an exchange of RabbitMQ", layerBroker("binary"), {
  missing,
  // No queue takes it.
  refused: "Transient",
  unknown: "TransportDown",
  tooLarge: { bytes: maxMessageSize, said: "Permanent" }
})

describe.skipIf(missing)("an exchange of RabbitMQ, structured", () => {
  eventPublisherContract("as any publisher", layerPublisher.pipe(Layer.provide(layerBroker("structured"))))
})

brokerSourceContract("a queue of RabbitMQ", layerReadable, { missing })

describe.skipIf(missing)("RabbitMQ", () => {
  it.live("publishes nothing while exchange or queue are missing, and does when they are there", () =>
    Effect.gen(function*() {
      const { url } = yield* theServer
      const options = { url, exchange: "topology", queues: [{ name: "topology.all" }] }
      const { publish } = yield* RabbitPublisher.make(options)
      const event = anEvent()
      const without = yield* Effect.flip(publish(event))
      assert.strictEqual(without._tag, "TransportDown")
      assert.include(without.message, "topology")
      yield* withConnection(url, async (connection) => {
        const channel = await connection.createChannel()
        await channel.assertExchange("topology", "topic", { durable: true })
        await channel.close()
      })
      const withoutQueue = yield* Effect.flip(publish(event))
      assert.strictEqual(withoutQueue._tag, "TransportDown")
      assert.include(withoutQueue.message, "topology.all")
      // Somebody else makes it.
      const { publish: first } = yield* RabbitPublisher.make({ ...options, create: true })
      yield* first(event)
      yield* publish(event)
      assert.deepStrictEqual((yield* eventsOf(url, "topology.all")).map(({ id }) => id), [event.id, event.id])
    }))

  it.live("says Transient of what a full queue refuses, and delivers where an event without a queue may go nowhere", () =>
    Effect.gen(function*() {
      const { url } = yield* theServer
      const full = { "x-max-length": 1, "x-overflow": "reject-publish" }
      const queues = [{ name: "full.all", keys: ["deal.#"], arguments: full }]
      const { publish } = yield* RabbitPublisher.make({ url, exchange: "full", queues, create: true, mandatory: false })
      yield* publish(anEvent())
      assert.strictEqual((yield* Effect.flip(publish(anEvent())))._tag, "Transient")
      yield* publish(anEvent({ eventType: "other" }))
    }))

  it.live("counts no message as delivered that comes back, also where others of its id are on their way", () =>
    Effect.gen(function*() {
      const { url } = yield* theServer
      const { publish } = yield* RabbitPublisher.make({ url, exchange: "nowhere", create: true })
      const event = anEvent()
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 200 }, () => event),
        (one) => Effect.flip(publish(one)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(outcomes.map(({ _tag }) => _tag)), new Set(["Transient"]))
    }))

  it.live("says Permanent of what AMQP cannot carry", () =>
    Effect.gen(function*() {
      const { url } = yield* theServer
      const { publish } = yield* RabbitPublisher.make({ url, exchange: "names", create: true, mandatory: false })
      const long = yield* Effect.flip(publish(anEvent({ eventType: "x".repeat(256) })))
      assert.strictEqual(long._tag, "Permanent")
      const headers = yield* Effect.flip(publish(anEvent({ headers: { large: "x".repeat(70_000) } })))
      assert.strictEqual(headers._tag, "Permanent")
      yield* publish(anEvent())
    }))

  it.live("says TransportDown while the server blocks publishers, and delivers afterwards", () =>
    Effect.gen(function*() {
      const { block, url } = yield* theServer
      const options = { url, exchange: "blocked", queues: [{ name: "blocked.all" }], create: true, timeout: patience }
      const { publish } = yield* RabbitPublisher.make(options)
      const event = anEvent()
      yield* publish(anEvent())
      yield* Effect.scoped(Effect.gen(function*() {
        yield* block
        const blocked = (error: PublishError) =>
          error._tag === "TransportDown" && error.message.startsWith("RabbitMQ takes nothing at the moment")
        // The first that comes when it is blocked is read by nobody, and has the server say so.
        yield* eventually(Effect.match(publish(anEvent()), { onSuccess: () => false, onFailure: blocked }))
        assert.isTrue(blocked(yield* Effect.flip(publish(event))))
        assert.isTrue(blocked(yield* Effect.flip(publish(event))))
      }))
      yield* eventually(Effect.match(publish(event), { onSuccess: () => true, onFailure: () => false }))
      assert.include((yield* eventsOf(url, "blocked.all")).map(({ id }) => id), event.id)
    }))

  it.live("is read by one consumer while another stands by, which takes over in order", () =>
    Effect.gen(function*() {
      const { url } = yield* theServer
      const options = { url, exchange: "standby", queues: [{ name: "standby.all" }], create: true }
      const { publish } = yield* RabbitPublisher.make(options)
      const events = Array.from({ length: 20 }, () => anEvent())
      yield* Effect.forEach(events, publish, { discard: true })
      const seen: Array<string> = []
      const source = RabbitSource.make({ ...options, queue: "standby.all", batchSize: 1 })
      const read = source.consume(([{ id }]) =>
        Effect.suspend(() => {
          seen.push(id)
          return seen.length === 5 || seen.length === 10 ? Effect.fail("stops here" as const) : Effect.void
        })
      )
      // Each stops once; what it had not handled comes first to the other.
      yield* Effect.all([Effect.flip(read), Effect.flip(read)], { concurrency: "unbounded" })
      const ids = events.map(({ id }) => id)
      assert.deepStrictEqual(seen, [...ids.slice(0, 5), ...ids.slice(4, 9)])
    }))

  it.live("the examples of docs/brokers.md: from the transaction to the mail", () =>
    Effect.gen(function*() {
      const { url } = yield* theServer
      yield* runExample(layerRabbit(url), mailsFromRabbit(url))
    }))
})
