/** The README's example does what the README says, against a real Postgres and with the settings that everybody has. */
import { assert, layer } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { AppLive, createDeal } from "./readmeExample.ts"

const environment = Layer.unwrap(Effect.map(TestDatabase.DatabaseUrl, (url) => {
  const variables = { DATABASE_URL: url }
  return ConfigProvider.layer(ConfigProvider.fromUnknown(variables))
}))

const Live = AppLive.pipe(
  Layer.provide(environment),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Live, { excludeTestServices: true })("the README's example", (it) => {
  it.effect("writes the deal, and its event arrives in zakops.agent_events", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE deals (deal_id uuid PRIMARY KEY, title text NOT NULL)`
      const dealId = randomUUID()
      const id = yield* createDeal(dealId, "the first")
      const logged = sql`
        SELECT id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data
        FROM zakops.agent_events`
      yield* eventually(Effect.map(logged, (rows) => rows.length > 0))
      assert.deepStrictEqual([...(yield* logged)], [{
        id,
        correlation_id: dealId,
        aggregate_type: "deal",
        aggregate_id: dealId,
        event_type: "deal.created",
        schema_version: 1,
        event_data: { dealId, title: "the first" }
      }])
      const deals = yield* sql`SELECT deal_id, title FROM deals`
      assert.deepStrictEqual([...deals], [{ deal_id: dealId, title: "the first" }])
    }))
})
