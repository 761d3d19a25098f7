/** The same requests with the outbox and without it: the same answers, byte for byte, and the same events in the log. */
import { assert, layer } from "@effect/vitest"
import { Deals } from "@zakops/deal-desk/Deals"
import { layerServer } from "@zakops/deal-desk/server"
import { makeTables } from "@zakops/deal-desk/tables"
import { EventStore } from "@zakops/event-store/EventStore"
import * as EventLog from "@zakops/event-store/EventLog"
import { OutboxProcessor } from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const deal = "0190a8f2-0000-7000-8000-00000000000a"
const large = "0190a8f2-0000-7000-8000-00000000000b"
const action = "0190a8f2-0000-7000-8000-00000000000c"
const absent = "0190a8f2-0000-7000-8000-00000000000d"

/** Good requests, refusals of the business, refusals of the API, and a transaction that is rolled back after its event. */
const requests: ReadonlyArray<readonly [method: string, path: string, body?: unknown]> = [
  ["POST", "/deals", { dealId: deal, title: "Tea for two", amount: 10 }],
  ["POST", "/deals", { dealId: deal, title: "Tea for two", amount: 10 }],
  ["POST", "/deals", { dealId: large, title: "All the tea", amount: 2_000_000 }],
  ["POST", `/deals/${deal}/actions`, { actionId: action, title: "call them" }],
  ["POST", `/deals/${deal}/stage`, { stage: "won" }],
  ["POST", `/deals/${large}/stage`, { stage: "won" }],
  ["GET", `/deals/${deal}`],
  ["GET", `/deals/${large}`],
  ["GET", `/deals/${absent}`],
  ["POST", `/deals/${absent}/stage`, { stage: "won" }],
  ["POST", `/deals/${deal}/stage`, { stage: "sideways" }],
  ["POST", "/deals", { title: "", amount: 1 }],
  ["POST", "/deals", { title: "Tea", amount: -1 }],
  ["POST", "/deals", { dealId: "deal-123", title: "Tea", amount: 1 }],
  ["GET", "/reports/pipeline"],
  ["GET", "/nowhere"]
]

/** Runs the requests against a server of its own, and gives what came back and what the log holds in the end. */
const answers = (enabled: boolean) =>
  Effect.gen(function*() {
    yield* makeTables
    const outbox = EventStore.layer.pipe(
      Layer.provideMerge(services({ enabled })),
      Layer.provideMerge(EventLog.layerPublisher)
    )
    const context = yield* Layer.build(layerServer(0).pipe(Layer.provide(Deals.layer), Layer.provideMerge(outbox)))
    const base = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
    const responses = yield* Effect.forEach(requests, ([method, path, body]) =>
      Effect.promise(async () => {
        const response = await fetch(`${base}${path}`, {
          method,
          ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } })
        })
        const { date: _, ...headers } = Object.fromEntries(response.headers)
        return { request: `${method} ${path}`, status: response.status, headers, body: await response.text() }
      }))
    yield* Context.get(context, OutboxProcessor).drain
    const sql = yield* SqlClient
    const log = yield* sql`SELECT event_type, correlation_id, aggregate_type, aggregate_id, schema_version, event_data
      FROM zakops.agent_events ORDER BY event_type, aggregate_id`
    return { responses, log }
  }).pipe(Effect.scoped, Effect.provide(TestDatabase.layer, { local: true }))

layer(Layer.empty, { excludeTestServices: true })("the deal desk", (it) => {
  it.effect("answers the same with the outbox and without, and the log holds the same events", () =>
    Effect.gen(function*() {
      const withOutbox = yield* answers(true)
      const without = yield* answers(false)
      assert.deepStrictEqual(without, withOutbox)
      assert.deepStrictEqual(
        withOutbox.responses.map(({ status }) => status),
        [201, 409, 201, 201, 200, 409, 200, 200, 404, 404, 400, 400, 400, 400, 200, 404]
      )
      assert.deepStrictEqual(
        withOutbox.log.map((row) => row["event_type"]),
        ["action.added", "deal.created", "deal.created", "deal.stage_moved"]
      )
      assert.include(withOutbox.responses[7]?.body, "\"stage\":\"new\"", "the refused move was rolled back")
      for (const { body, headers } of withOutbox.responses.filter(({ status }) => status === 400)) {
        assert.include(headers["content-type"], "json")
        assert.match(body, /stage|title|amount|dealId/)
      }
    }))
})
