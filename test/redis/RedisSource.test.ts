/** A stream of Redis as a source, on a server of its own. */
import { assert, describe, layer } from "@effect/vitest"
import { RedisPublisher, RedisSource } from "@zakops/redis"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { anEvent } from "../support/brokerPublisherContract.ts"
import { brokerSourceContract } from "../support/brokerSourceContract.ts"
import { eventually } from "../support/outbox.ts"
import { layerReadable, missing, startRedis, withRedis } from "../support/redis.ts"

brokerSourceContract("a stream of Redis", layerReadable, { missing })

const stream = "events"
const group = "readers"

describe.skipIf(missing)("RedisSource", () => {
  layer(Layer.empty, { excludeTestServices: true })((it) => {
    const prepare = Effect.gen(function*() {
      const { url } = yield* startRedis
      const options = { url: Redacted.make(url), stream, group }
      const { publish } = yield* RedisPublisher.make({ ...options, trim: "never" })
      const seen: Array<string> = []
      const see = (batch: ReadonlyArray<EventEnvelope>) =>
        Effect.sync(() => void seen.push(...batch.map(({ id }) => id)))
      return { url, options, publish, seen, see }
    })

    it.effect("takes over what a reader that is gone without a word had, when nobody has touched it for long", () =>
      Effect.gen(function*() {
        const { options, publish, see, seen, url } = yield* prepare
        const [first, second, third] = [anEvent(), anEvent(), anEvent()]
        const redis = <A>(use: Parameters<typeof withRedis<A>>[1]) => Effect.promise(() => withRedis(url, use))
        const leave = Effect.map(
          redis((client) => client.xReadGroup(group, "gone", { key: stream, id: ">" })),
          (answer) => answer?.[0]?.messages[0]?.id ?? ""
        )
        yield* redis((client) => client.xGroupCreate(stream, group, "0", { MKSTREAM: true }))
        yield* publish(first)
        const message = yield* leave
        yield* publish(second)
        const reading = yield* Effect.forkChild(RedisSource.make(options).consume(see))
        yield* eventually(Effect.sync(() => seen.length > 0))
        yield* Fiber.interrupt(reading)
        assert.deepStrictEqual(seen, [second.id])
        // As if a minute had passed.
        yield* redis((client) =>
          client.sendCommand(["XCLAIM", stream, group, "gone", "0", message, "IDLE", "60000", "JUSTID"])
        )
        const taking = yield* Effect.forkChild(RedisSource.make(options).consume(see))
        yield* eventually(Effect.sync(() => seen.includes(first.id)))
        yield* Fiber.interrupt(taking)

        // One that runs already looks again and again.
        const looking = { ...options, takeOverAfter: Duration.millis(200) }
        yield* publish(third)
        yield* leave
        const running = yield* Effect.forkChild(RedisSource.make(looking).consume(see))
        yield* eventually(Effect.sync(() => seen.includes(third.id)))
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual(seen, [second.id, first.id, third.id])
      }))

    it.effect("keeps what it is working on for longer than that", () =>
      Effect.gen(function*() {
        const { options, publish, see, seen } = yield* prepare
        const given = { ...options, takeOverAfter: Duration.millis(300) }
        const event = anEvent()
        yield* publish(event)
        const slow = yield* Effect.forkChild(
          RedisSource.make(given).consume((batch) => Effect.andThen(Effect.sleep(Duration.seconds(2)), see(batch)))
        )
        yield* Effect.sleep(Duration.millis(200))
        const others: Array<string> = []
        const other = yield* Effect.forkChild(
          RedisSource.make(given).consume((batch) => Effect.sync(() => void others.push(...batch.map(({ id }) => id))))
        )
        yield* eventually(Effect.sync(() => seen.length > 0))
        yield* Fiber.interrupt(slow)
        yield* Fiber.interrupt(other)
        assert.deepStrictEqual([seen, others], [[event.id], []])
      }))

    it.effect("shares a group's events among its readers, and leaves no names of readers behind", () =>
      Effect.gen(function*() {
        const { options, publish, url } = yield* prepare
        const events = Array.from({ length: 60 }, () => anEvent())
        const by: Array<Array<string>> = [[], []]
        const readers = yield* Effect.forEach(by, (seen) =>
          Effect.forkChild(
            RedisSource.make({ ...options, batchSize: 5 }).consume((batch) =>
              Effect.andThen(
                Effect.sleep(Duration.millis(5)),
                Effect.sync(() => void seen.push(...batch.map(({ id }) => id)))
              )
            )
          ))
        yield* Effect.forEach(events, publish, { discard: true })
        yield* eventually(Effect.sync(() => by.flat().length === 60))
        yield* Effect.forEach(readers, Fiber.interrupt)
        assert.sameMembers(by.flat(), events.map(({ id }) => id))
        for (const seen of by) assert.isNotEmpty(seen)
        const consumers = yield* Effect.promise(() => withRedis(url, (client) => client.xInfoConsumers(stream, group)))
        assert.deepStrictEqual(consumers, [])
      }))

    it.effect("tells of a message that was dropped from the stream before it was handled, and goes on", () =>
      Effect.gen(function*() {
        const { options, publish, see, seen, url } = yield* prepare
        const [first, second] = [anEvent(), anEvent()]
        yield* publish(first)
        yield* Effect.flip(RedisSource.make(options).consume(() => Effect.fail("no")))
        yield* Effect.promise(() => withRedis(url, (client) => client.xTrim(stream, "MAXLEN", 0)))
        yield* publish(second)
        const reading = yield* Effect.forkChild(RedisSource.make(options).consume(see))
        yield* eventually(Effect.sync(() => seen.length > 0))
        yield* Fiber.interrupt(reading)
        assert.deepStrictEqual(seen, [second.id])
        const left = yield* Effect.promise(() => withRedis(url, (client) => client.xPending(stream, group)))
        assert.strictEqual(left.pending, 0)
      }))
  })
})
