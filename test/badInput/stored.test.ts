/** Whatever stands in the tables: events are delivered within their limits, and a subscription named `s` reads all of the log. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Subscription from "@zakops/event-store/Subscription"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { DeliveryLimits, OutboxOverview, OutboxProcessor } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { emitDeals, emptyTables, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { storedCases } from "./storedCases.ts"

const limits = Layer.succeed(DeliveryLimits, { types: { "deal.made": { rate: { limit: 100, per: "50 millis" } } } })

const Live = Layer.merge(services(), OutboxOverview.layer).pipe(
  Layer.provide(limits),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Live, { excludeTestServices: true })("stored:", (it) => {
  it.effect.each(storedCases)("$name", ({ name, refused, sql: statement }) =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { drain } = yield* OutboxProcessor
      const id = randomUUID()
      const before = yield* emitDeals(1)
      yield* eventually(Effect.map(drain, ({ delivered }) => delivered > 0))
      const written = yield* Effect.result(sql.unsafe(statement.replaceAll(":id", id)))
      if (refused === undefined) assert.isTrue(Result.isSuccess(written), String(written))
      else assert.match(Result.isFailure(written) ? SqlErrors.serverText(written.failure) : "taken", refused)
      const after = yield* emitDeals(1)
      yield* eventually(Effect.map(drain, ({ delivered }) => delivered > 0))
      const own = name.startsWith("log,") ? [id] : []

      const seen = new Set<string>()
      const source = yield* Subscription.make("s", { pollInterval: "20 millis" })
      yield* Effect.raceFirst(
        source.consume((batch) => Effect.sync(() => batch.forEach((event) => seen.add(event.id)))),
        eventually(Effect.sync(() => [...before, ...own, ...after].every((one) => seen.has(one))))
      )
      yield* (yield* OutboxOverview).overview
    }))
})
