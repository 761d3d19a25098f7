/** The examples of docs/ordering.md, docs/flow-control.md and docs/processing.md. */
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { DeliveryLimits, FlowControl, Outbox, OutboxLive, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

const StockCounted = EventDefinition.make("stock.counted", {
  aggregateType: "article",
  aggregateId: (count) => count.article,
  payload: Schema.Struct({ article: Schema.String, pieces: Schema.Int }),
  delivery: { orderBy: "aggregate", onDead: "skip" }
})

export const countStock = Effect.fn("countStock")(function*(article: string, pieces: number, correlationId: string) {
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  const event = yield* StockCounted.make({ article, pieces })
  return yield* transact(outbox.emit(event, { correlationId }))
})

export const remindLater = Effect.fn("remindLater")(function*(article: string, correlationId: string) {
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  const event = yield* StockCounted.make({ article, pieces: 0 })
  return yield* transact(outbox.emit(event, { correlationId, delay: "2 days", orderingKey: null }))
})

export const InvoiceSent = EventDefinition.make("invoice.sent", {
  payload: Schema.Struct({ invoice: Schema.String }),
  delivery: { maxAttempts: 20, retry: Schedule.exponential("10 seconds") }
})

export const WithLimits = OutboxLive.pipe(
  Layer.provide(Layer.succeed(DeliveryLimits, {
    destination: { rate: { limit: 500, per: "1 second" } },
    types: {
      "invoice.sent": { rate: { limit: 10, per: "1 minute" } },
      "report.asked": { concurrency: 2 }
    }
  })),
  Layer.provide(EventLog.layerPublisher)
)

export const holdInvoices = Effect.gen(function*() {
  const flow = yield* FlowControl
  yield* flow.pause({ type: "invoice.sent" }, { by: "ann" })
  yield* Effect.logInfo("paused", yield* flow.paused)
  yield* flow.resume({ type: "invoice.sent" }, { by: "ann" })
})
