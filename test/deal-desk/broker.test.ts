/** The deal desk on each broker, chosen by one variable: the log has every event, and the mailer has them from the broker, once. */
import { assert, describe, layer } from "@effect/vitest"
import { layerBroker } from "@zakops/deal-desk/broker"
import { Deals } from "@zakops/deal-desk/Deals"
import { makeTables } from "@zakops/deal-desk/tables"
import { layerWorker } from "@zakops/deal-desk/worker"
import { EventStore } from "@zakops/event-store/EventStore"
import * as EventLog from "@zakops/event-store/EventLog"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import * as kafka from "../support/kafkaCluster.ts"
import * as nats from "../support/nats.ts"
import { eventually } from "../support/outbox.ts"
import * as rabbitmq from "../support/rabbitmq.ts"
import * as redis from "../support/redis.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

type Variables = Readonly<Record<string, string>>

const brokers: ReadonlyArray<{
  readonly name: string
  readonly missing: boolean
  /** Starts a server of the test's own and gives the variables that lead to it. */
  readonly start: Effect.Effect<Variables, never, Scope.Scope>
}> = [
  { name: "log", missing: false, start: Effect.succeed({}) },
  { name: "webhook", missing: false, start: Effect.succeed({}) },
  {
    name: "nats",
    missing: nats.missing,
    start: Effect.map(nats.startNats(), ({ connection: { pass, servers, user } }) => ({
      NATS_URL: `nats://${user}:${pass}@${servers}`
    }))
  },
  {
    name: "rabbitmq",
    missing: rabbitmq.missing,
    start: Effect.map(rabbitmq.startRabbit, ({ url }) => ({ RABBITMQ_URL: url }))
  },
  { name: "redis", missing: redis.missing, start: Effect.map(redis.startRedis, ({ url }) => ({ REDIS_URL: url })) },
  {
    name: "kafka",
    missing: kafka.missing,
    start: Effect.map(kafka.startKafka, ({ brokers }) => ({ KAFKA_BROKERS: brokers.join(",") }))
  }
]

const Desk = Deals.layer.pipe(
  Layer.provideMerge(EventStore.layer),
  Layer.provideMerge(layerServices),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(OutboxConfig.layerWith({})),
  Layer.provideMerge(Layer.effectDiscard(makeTables)),
  Layer.provideMerge(TestDatabase.layer)
)

describe("the deal desk", () => {
  for (const { missing, name, start } of brokers) {
    describe.skipIf(missing)(`DEAL_DESK_PUBLISHER=${name}`, () => {
      layer(Desk, { excludeTestServices: true })((it) => {
        it.effect("has its mails written once, and every event in the log", () =>
          Effect.gen(function*() {
            const sql = yield* SqlClient
            const deals = yield* Deals
            const variables = { DEAL_DESK_PUBLISHER: name, ...yield* start }
            // A process of its own elsewhere: nothing of it is shared with the API's services.
            yield* Layer.build(
              Layer.fresh(layerWorker).pipe(
                Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables)))
              )
            )
            const dealId = randomUUID()
            yield* deals.create({ dealId, title: "one", amount: 1 })
            yield* deals.addAction(dealId, { title: "call them" })
            yield* deals.moveStage(dealId, "won")
            const mails = sql<{ subject: string }>`SELECT subject FROM deal_desk.mails WHERE deal_id = ${dealId}`
            yield* eventually(Effect.map(mails, (rows) => rows.length >= 2), 50)
            assert.deepStrictEqual((yield* mails).map(({ subject }) => subject), ["New deal: one", "Won!"])
            const logged = sql<{ n: number }>`SELECT count(*)::int AS n FROM zakops.agent_events`
            yield* eventually(Effect.map(logged, (rows) => rows[0]?.n === 3))
            // One entry for each event, at the broker as well.
            const delivered = sql<{ destination: string | null; n: number }>`
              SELECT destination, count(*)::int AS n FROM zakops.outbox WHERE status = 'delivered' GROUP BY destination ORDER BY 1 NULLS FIRST`
            const expected = [{ destination: null, n: 3 }, ...name === "log" ? [] : [{ destination: name, n: 3 }]]
            yield* eventually(
              Effect.map(delivered, (rows) => JSON.stringify(rows) === JSON.stringify(expected))
            )
          }), 120_000)
      })
    })
  }

  layer(TestDatabase.layer)((it) => {
    it.effect("names the variable where it has a value that is no broker", () =>
      Effect.gen(function*() {
        const wrong = ConfigProvider.layer(ConfigProvider.fromUnknown({ DEAL_DESK_PUBLISHER: "pigeon" }))
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layerBroker.pipe(Layer.provide(wrong)))))
        assert.include(String(error), "DEAL_DESK_PUBLISHER is \"pigeon\"")
      }))
  })
})
