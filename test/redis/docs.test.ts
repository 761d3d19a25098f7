/** What docs/brokers.md shows of Redis Streams, run. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { layerRedis, mailsFromRedis } from "../docs/streams.ts"
import { runExample } from "../support/brokerExample.ts"
import { missing, startRedis } from "../support/redis.ts"

describe.skipIf(missing)("the examples of docs/brokers.md", () => {
  it.live("Redis Streams: from the transaction to the mail", () =>
    Effect.gen(function*() {
      const url = Redacted.make((yield* startRedis).url)
      yield* runExample(layerRedis(url), mailsFromRedis(url))
    }))
})
