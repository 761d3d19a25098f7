/** The examples of docs/routing.md do what the page says. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { DeadLetters, Destinations, FlowControl, Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { loggedIds, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { blocksOf } from "./pages.ts"
import { afterTheirOutage, PartnerRoutes, whereIs } from "./routing.ts"

const DealWon = EventDefinition.make("deal.won", { payload: Schema.Struct({ amount: Schema.Number }) })

const calls: Array<string> = []
let partnerSays = 200

const client = HttpClient.make((request) =>
  Effect.sync(() => {
    const { host } = new URL(request.url)
    calls.push(`${host} ${request.headers["idempotency-key"]}`)
    const status = host === "partner.example" ? partnerSays : 200
    return HttpClientResponse.fromWeb(request, new Response(null, { status }))
  })
)

const Live = Layer.mergeAll(Destinations.layer, DeadLetters.layer, FlowControl.layer).pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(PartnerRoutes.pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Live, { excludeTestServices: true })("the examples of routing", (it) => {
  it.effect("take won deals to the partner, and the large ones to the audit", () =>
    Effect.gen(function*() {
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      const { drain } = yield* OutboxProcessor
      const emit = (amount: number) =>
        transact(
          Effect.flatMap(DealWon.make({ amount }), (event) => outbox.emit(event, { correlationId: randomUUID() }))
        )
      partnerSays = 422
      const small = yield* emit(1)
      const large = yield* emit(2_000_000)
      yield* drain
      assert.sameMembers(yield* loggedIds, [small, large])
      assert.sameMembers(calls, [`partner.example ${small}`, `partner.example ${large}`, `audit.example ${large}`])
      const all = yield* whereIs(large)
      assert.deepStrictEqual(all.map(({ dead, destination }) => [destination, dead]), [[null, 0], ["partner", 2]])

      partnerSays = 200
      calls.length = 0
      yield* (yield* FlowControl).pause({ destination: "partner" }, { by: "ann" })
      assert.strictEqual(yield* afterTheirOutage, 2)
      yield* Effect.sleep("100 millis")
      yield* drain
      assert.sameMembers(calls, [`partner.example ${small}`, `partner.example ${large}`])

      const sql = yield* SqlClient
      for (const { code } of blocksOf("sql").filter(({ name }) => name.endsWith("docs/routing.md"))) {
        yield* sql.unsafe(code)
      }
    }))
})
