/** What docs/brokers.md shows of Kafka, run. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { layerKafka, mailsFromKafka } from "../docs/streams.ts"
import { runExample } from "../support/brokerExample.ts"
import { missing, startKafka } from "../support/kafkaCluster.ts"

describe.skipIf(missing)("the examples of docs/brokers.md", () => {
  it.live("Kafka: from the transaction to the mail", () =>
    Effect.gen(function*() {
      const { brokers } = yield* startKafka
      yield* runExample(layerKafka(brokers), mailsFromKafka(brokers))
    }))
})
