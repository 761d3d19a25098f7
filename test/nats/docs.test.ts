/** What docs/brokers.md shows of NATS, run. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { layerNats, mailsFromNats } from "../docs/brokers.ts"
import { runExample } from "../support/brokerExample.ts"
import { missing, startNats } from "../support/nats.ts"

describe.skipIf(missing)("the examples of docs/brokers.md", () => {
  it.live("NATS: from the transaction to the mail", () =>
    Effect.gen(function*() {
      const { connection: { servers } } = yield* startNats("outbox", "from your secrets")
      yield* runExample(layerNats(servers), mailsFromNats(servers))
    }))
})
