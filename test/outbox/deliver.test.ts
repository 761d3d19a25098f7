import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventDefinition } from "@zakops/events"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { layerServices } from "@zakops/outbox/OutboxLive"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import * as TestDatabase from "../support/TestDatabase.ts"

const Made = EventDefinition.make("deal.made", { aggregateType: "deal", payload: Schema.Struct({ title: Schema.String }) })

const Live = layerServices.pipe(
  Layer.provideMerge(OutboxConfig.layer),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Live)("smoke", (it) => {
  it.effect("delivers", () =>
    Effect.gen(function*() {
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      const processor = yield* OutboxProcessor
      const sql = yield* SqlClient
      yield* transact(Effect.gen(function*() {
        yield* outbox.emit(yield* Made.make({ title: "x" }), { correlationId: randomUUID() })
        yield* outbox.emitAll([
          { event: yield* Made.make({ title: "y" }), correlationId: randomUUID() },
          { event: yield* Made.make({ title: "z" }), correlationId: randomUUID() }
        ])
      }))
      console.log(yield* processor.drain)
      console.log(yield* sql`select status, attempts, finished, delivered_at from zakops.outbox`)
      console.log(yield* sql`select *, xid::text from zakops.agent_events`)
      assert.isTrue(true)
    }))
})
