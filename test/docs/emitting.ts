/** The examples of docs/emitting.md. */
import * as EventDefinition from "@zakops/events/EventDefinition"
import { emitDealEvent, Outbox, OutboxWriter, TransactionalPublisher } from "@zakops/outbox"
import * as PipelinedPgClient from "@zakops/outbox/PipelinedPgClient"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"

const DealPriced = EventDefinition.make("deal.priced", {
  version: 2,
  aggregateType: "deal",
  aggregateId: (deal) => deal.dealId,
  payload: Schema.Struct({ dealId: Schema.String, amount: Schema.Int, currency: Schema.String }),
  upcasters: { 1: (json) => ({ currency: "EUR", ...(json as object) }) }
})

export const DatabaseLive = PipelinedPgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })

export const priceDeal = Effect.fn("priceDeal")(function*(dealId: string, amount: number) {
  const sql = yield* SqlClient
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  const event = yield* DealPriced.make({ dealId, amount, currency: "EUR" })
  return yield* transact(Effect.gen(function*() {
    yield* sql`UPDATE deals SET amount = ${amount} WHERE deal_id = ${dealId}`
    return yield* outbox.emit(event, { correlationId: dealId, headers: { source: "pricing" } })
  }))
})

export const priceDeals = Effect.fn("priceDeals")(function*(dealIds: ReadonlyArray<string>, amount: number) {
  const sql = yield* SqlClient
  const outbox = yield* Outbox
  const { join } = yield* TransactionalPublisher
  const emissions = yield* Effect.forEach(
    dealIds,
    Effect.fnUntraced(function*(dealId) {
      return { event: yield* DealPriced.make({ dealId, amount, currency: "EUR" }), correlationId: dealId }
    })
  )
  return yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`UPDATE deals SET amount = ${amount} WHERE deal_id = ANY (${dealIds}::uuid[])`
    return yield* join(outbox.emitAll(emissions))
  }))
})

export const remindOfPrice = Effect.fn("remindOfPrice")(function*(dealId: string, amount: number, until: Date) {
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  const event = yield* DealPriced.make({ dealId, amount, currency: "EUR" })
  return yield* transact(outbox.emit(event, {
    correlationId: dealId,
    delay: "2 days",
    expiresAt: until,
    orderingKey: null
  }))
})

export const bookOnce = Effect.fn("bookOnce")(function*(dealId: string, amount: number, clickId: string) {
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  const event = yield* DealPriced.make({ dealId, amount, currency: "EUR" })
  return yield* transact(outbox.emit(event, { correlationId: dealId, dedupeKey: clickId, dedupeWindow: "1 hour" }))
})

const insertDeal = Effect.fn("insertDeal")(function*(deal: { readonly dealId: string; readonly title: string }) {
  const sql = yield* SqlClient
  yield* sql`INSERT INTO deals (deal_id, title, amount) VALUES (${deal.dealId}, ${deal.title}, 0)`
  return { ...deal, amount: 0, currency: "EUR" }
})

export const addDeal = (deal: { readonly dealId: string; readonly title: string }) =>
  insertDeal(deal).pipe(
    emitDealEvent((added) => ({ event: DealPriced.make(added), correlationId: added.dealId }))
  )

export const recordPrice = Effect.fn("recordPrice")(function*(dealId: string, amount: number) {
  const writer = yield* OutboxWriter
  return yield* writer.write(
    yield* DealPriced.make({ dealId, amount, currency: "EUR" }),
    { correlationId: dealId }
  )
})
