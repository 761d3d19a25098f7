/** The examples of docs/ordering.md, docs/flow-control.md and docs/processing.md do what their pages say. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { FlowControl, Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { emptyTables, entries, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { countStock, holdInvoices, InvoiceSent, remindLater, WithLimits } from "./delivery.ts"

const Live = FlowControl.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Live, { excludeTestServices: true })("the examples of delivery", (it) => {
  it.effect("count in the order of the aggregate, and remind later without a key", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const correlationId = randomUUID()
      for (const pieces of [3, 2, 1]) yield* countStock("a", pieces, correlationId)
      yield* remindLater("a", correlationId)
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      yield* transact(
        Effect.flatMap(InvoiceSent.make({ invoice: "1" }), (event) => outbox.emit(event, { correlationId }))
      )
      assert.deepStrictEqual(
        [
          ...(yield* sql`SELECT ordering_key, on_dead, next_attempt_at > created_at AS later, max_attempts, retry_waits[2] AS second
          FROM zakops.outbox ORDER BY seq`)
        ],
        [
          ...[1, 2, 3].map(() => ({
            ordering_key: "article/a",
            on_dead: "skip",
            later: false,
            max_attempts: 5,
            second: null
          })),
          { ordering_key: null, on_dead: "skip", later: true, max_attempts: 5, second: null },
          { ordering_key: null, on_dead: "block", later: false, max_attempts: 20, second: 20_000 }
        ]
      )
      yield* Effect.flatMap(OutboxProcessor, ({ drain }) => drain)
      const rows = yield* sql<{ pieces: number }>`
        SELECT (event_data->>'pieces')::int AS pieces FROM zakops.agent_events WHERE aggregate_id = 'a' ORDER BY xid, position`
      assert.deepStrictEqual(rows.map(({ pieces }) => pieces), [3, 2, 1])
    }))

  it.effect("hold the invoices and let them go, and deliver within limits", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* holdInvoices
      const correlationId = randomUUID()
      yield* countStock("b", 1, correlationId)
      yield* Effect.scoped(Effect.andThen(
        Layer.build(WithLimits),
        eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status === "delivered")))
      ))
    }))
})
