/** A stream of Redis as a destination, on a server of its own. */
import { assert, describe, layer } from "@effect/vitest"
import { classify } from "@zakops/redis/redisErrors"
import { RedisPublisher } from "@zakops/redis"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { ErrorReply } from "redis"
import { anEvent, brokerPublisherContract } from "../support/brokerPublisherContract.ts"
import { eventsOf, layerBroker, maxBulk, missing, startRedis, withRedis } from "../support/redis.ts"

brokerPublisherContract("a stream of Redis", layerBroker, {
  missing,
  refused: "TransportDown",
  unknown: "TransportDown",
  tooLarge: { bytes: maxBulk, said: "Permanent" }
})

describe.skipIf(missing)("RedisPublisher", () => {
  layer(Layer.empty, { excludeTestServices: true })((it) => {
    it.effect("keeps as many events as it is told to, or for as long, and all of them where it is told so", () =>
      Effect.gen(function*() {
        const { url } = yield* startRedis
        const publishing = (stream: string, trim: RedisPublisher.RedisPublisherOptions["trim"]) =>
          RedisPublisher.make({ url: Redacted.make(url), stream, trim })
        const events = Array.from({ length: 500 }, () => anEvent())
        const length = (stream: string) => Effect.map(eventsOf(url, stream), (all) => all.length)

        yield* Effect.forEach(events, (yield* publishing("all", "never")).publish, { concurrency: 100 })
        assert.strictEqual(yield* length("all"), 500)
        // Whole blocks of 100 are dropped.
        yield* Effect.forEach(events, (yield* publishing("some", { maxLength: 150 })).publish, { concurrency: 100 })
        assert.isBelow(yield* length("some"), 300)
        assert.isAtLeast(yield* length("some"), 150)

        // Of long ago.
        yield* Effect.promise(() =>
          withRedis(url, async (client) => {
            for (let n = 1; n <= 300; n++) await client.xAdd("aged", `${n}-0`, { event: "old" })
          })
        )
        yield* (yield* publishing("aged", { maxAge: Duration.hours(1) })).publish(anEvent())
        const left = yield* Effect.promise(() => withRedis(url, (client) => client.xLen("aged")))
        assert.isBelow(left, 102)
      }))

    it.effect("says TransportDown where the stream's key is something else", () =>
      Effect.gen(function*() {
        const { url } = yield* startRedis
        yield* Effect.promise(() => withRedis(url, (client) => client.set("taken", "text")))
        const { publish } = yield* RedisPublisher.make({ url: Redacted.make(url), stream: "taken", trim: "never" })
        const error = yield* Effect.flip(publish(anEvent()))
        assert.strictEqual(error._tag, "TransportDown")
        assert.include(error.message, "WRONGTYPE")
      }))

    it.effect("says TransportDown of what its user may not add, and delivers when it may", () =>
      Effect.gen(function*() {
        const { url } = yield* startRedis
        const user = (...rules: ReadonlyArray<string>) =>
          Effect.promise(() => withRedis(url, (client) => client.aclSetUser("limited", [...rules])))
        // Who may do nothing but name its connection, as the client does; not even ask for the limit.
        yield* user("on", ">limited", "~events", "+client|setname")
        const limited = url.replace(":secret", "limited:limited")
        const { publish } = yield* RedisPublisher.make({ url: Redacted.make(limited), stream: "events", trim: "never" })
        const event = anEvent()
        const error = yield* Effect.flip(publish(event))
        assert.strictEqual(error._tag, "TransportDown")
        assert.include(error.message, "NOPERM")
        yield* user("+xadd")
        yield* publish(event)
        assert.deepStrictEqual((yield* eventsOf(url, "events")).map(({ id }) => id), [event.id])
      }))

    it("takes what Redis says for what it is", () => {
      const said = (message: string) => classify(new ErrorReply(message))._tag
      for (
        const word of [
          "LOADING",
          "READONLY",
          "OOM",
          "MISCONF",
          "NOREPLICAS",
          "CLUSTERDOWN",
          "NOAUTH",
          "NOPERM",
          "WRONGPASS"
        ]
      ) {
        assert.strictEqual(said(`${word} for some reason`), "TransportDown")
      }
      assert.strictEqual(said("ERR unknown command"), "Transient")
      assert.strictEqual(said("ERR Protocol error: invalid bulk length"), "Permanent")
      assert.strictEqual(classify(new Error("Socket closed unexpectedly"))._tag, "TransportDown")
    })
  })
})
