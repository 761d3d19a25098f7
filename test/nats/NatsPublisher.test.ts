/** NATS JetStream as a destination, on a server of its own. */
import { assert, describe, layer } from "@effect/vitest"
import type { NatsOptions } from "@zakops/nats/NatsOptions"
import * as NatsPublisher from "@zakops/nats/NatsPublisher"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { anEvent, brokerPublisherContract } from "../support/brokerPublisherContract.ts"
import {
  eventsOf,
  forbiddenSubject,
  layerBroker,
  manage,
  maxPayload,
  missing,
  restrictedUser,
  startNats
} from "../support/nats.ts"

const modes = ["structured", "binary"] as const

for (const mode of modes) {
  brokerPublisherContract(`a stream of NATS, ${mode}`, layerBroker(mode), {
    missing,
    refused: "TransportDown",
    unknown: "TransportDown",
    tooLarge: { bytes: maxPayload, said: "Permanent" }
  })
}

describe.skipIf(missing)("NatsPublisher", () => {
  layer(Layer.empty, { excludeTestServices: true })((it) => {
    const stream = "EVENTS"

    /** A server, and the stream of a publisher with these options, made by its first event. */
    const prepare = Effect.fnUntraced(function*(options: Partial<NatsOptions> = {}) {
      const { connection } = yield* startNats()
      const publishing = (more: Partial<NatsOptions> = {}) =>
        NatsPublisher.make({ connection, stream, ...options, ...more })
      yield* (yield* publishing({ create: {} })).publish(anEvent())
      const manager = <A>(use: Parameters<typeof manage<A>>[1]) => manage(connection, use)
      const ids = Effect.map(eventsOf(connection, stream), (events) => events.map(({ id }) => id))
      return { connection, publishing, manager, ids }
    })

    it.effect.each(modes)(
      "has the stream know an event by its id, and drop it when it comes again: %s",
      (mode) =>
        Effect.gen(function*() {
          const { manager, publishing } = yield* prepare({ mode })
          yield* manager((manager) => manager.streams.purge(stream))
          const { publish } = yield* publishing()
          const event = anEvent()
          yield* publish(event)
          yield* publish(event)
          const messages = yield* manager(async (manager) => {
            const { state } = await manager.streams.info(stream)
            const message = await manager.streams.getMessage(stream, { seq: state.last_seq })
            return {
              count: state.messages,
              id: message?.header.get("Nats-Msg-Id"),
              type: message?.header.get("content-type")
            }
          })
          const type = mode === "binary" ? "application/json" : "application/cloudevents+json"
          assert.deepStrictEqual(messages, { count: 1, id: event.id, type })
        })
    )

    it.effect("says Transient of a subject that no stream takes, and delivers those beside it", () =>
      Effect.gen(function*() {
        const { ids, publishing } = yield* prepare()
        const { publish } = yield* publishing({
          subject: ({ eventType }) => eventType === "lost" ? "nobody.takes.it" : `events.${eventType}`
        })
        const lost = yield* Effect.flip(publish(anEvent({ eventType: "lost" })))
        assert.strictEqual(lost._tag, "Transient")
        assert.include(lost.message, "nobody.takes.it")
        const beside = anEvent()
        yield* publish(beside)
        assert.include(yield* ids, beside.id)
      }))

    it.effect("says TransportDown while its stream is gone, and makes it anew where it may", () =>
      Effect.gen(function*() {
        const { ids, manager, publishing } = yield* prepare()
        const making = yield* publishing({ create: {} })
        const looking = yield* publishing()
        yield* Effect.forEach([making, looking], ({ publish }) => publish(anEvent()))
        yield* manager((manager) => manager.streams.delete(stream))
        const event = anEvent()
        for (let time = 0; time < 2; time++) {
          const gone = yield* Effect.flip(looking.publish(event))
          assert.strictEqual(gone._tag, "TransportDown")
          assert.include(gone.message, stream)
        }
        assert.strictEqual((yield* Effect.flip(making.publish(event)))._tag, "TransportDown")
        yield* making.publish(event)
        const other = anEvent()
        yield* looking.publish(other)
        assert.deepStrictEqual(yield* ids, [event.id, other.id])
      }))

    it.effect("says Transient of a subject that another stream takes, which does not get the event", () =>
      Effect.gen(function*() {
        const { manager, publishing } = yield* prepare()
        yield* manager((manager) => manager.streams.add({ name: "OTHER", subjects: ["other.>"] }))
        const { publish } = yield* publishing({ subject: () => "other.deal" })
        const refused = yield* Effect.flip(publish(anEvent()))
        assert.strictEqual(refused._tag, "Transient")
        assert.include(refused.message, "10060")
        assert.strictEqual((yield* manager((manager) => manager.streams.info("OTHER"))).state.messages, 0)
      }))

    it.effect("says Transient, and at once, of a subject that its user may not publish to", () =>
      Effect.gen(function*() {
        const { connection, ids, publishing } = yield* prepare()
        const { publish } = yield* publishing({
          connection: { ...connection, user: restrictedUser },
          subject: ({ eventType }) => eventType === "secret" ? `${forbiddenSubject}.deal` : `events.${eventType}`
        })
        const events = ["secret", "deal.made", "secret", "secret"].map((eventType) => anEvent({ eventType }))
        // Far less than is waited for an answer.
        const outcomes = yield* Effect.forEach(events, (event) => Effect.result(publish(event)), {
          concurrency: "unbounded"
        }).pipe(Effect.timeout("5 seconds"))
        const said = outcomes.map(Result.match({ onSuccess: () => "delivered", onFailure: ({ _tag }) => _tag }))
        assert.deepStrictEqual(said, ["Transient", "delivered", "Transient", "Transient"])
        assert.include(yield* ids, events[1]?.id)
      }))
  })
})
