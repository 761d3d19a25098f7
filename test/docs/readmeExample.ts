/** The example of the README: what stands between the marks stands there word for word. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventDefinition from "@zakops/events/EventDefinition"
import { Outbox, OutboxLive, TransactionalPublisher } from "@zakops/outbox"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"

// #region README
export const DealCreated = EventDefinition.make("deal.created", {
  aggregateType: "deal",
  aggregateId: (deal) => deal.dealId,
  payload: Schema.Struct({ dealId: Schema.String, title: Schema.String })
})

export const createDeal = Effect.fn("createDeal")(function*(dealId: string, title: string) {
  const sql = yield* SqlClient
  const outbox = yield* Outbox
  const { transact } = yield* TransactionalPublisher
  return yield* transact(Effect.gen(function*() {
    yield* sql`INSERT INTO deals (deal_id, title) VALUES (${dealId}, ${title})`
    return yield* outbox.emit(yield* DealCreated.make({ dealId, title }), { correlationId: dealId })
  }))
})

const DatabaseLive = PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })
export const AppLive = OutboxLive.pipe(Layer.provide(EventLog.layerPublisher), Layer.provideMerge(DatabaseLive))
// #endregion
