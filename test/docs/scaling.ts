/** The examples of docs/scaling.md. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { MaintenanceSingleton, ReaderSingleton } from "@zakops/cluster"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Projection from "@zakops/event-store/Projection"
import { run } from "@zakops/event-store/runProjection"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import { OutboxLive, Workers } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"

const dealTotals = Projection.make({
  name: "deal totals",
  filter: { types: ["deal.made"] },
  handle: () => Effect.void
})

export const Singletons = Layer.mergeAll(
  MaintenanceSingleton.layer(),
  ReaderSingleton.layer("deal totals", run(dealTotals))
)

export const whoDelivers = Effect.gen(function*() {
  const workers = yield* Workers
  for (const { alive, destination, holding, name, share } of yield* workers.list) {
    yield* Effect.logInfo(`${name} to ${destination}: ${alive ? "alive" : "gone"}, share ${share}, holds ${holding}`)
  }
})

const workerOf = (url: Redacted.Redacted) =>
  Layer.fresh(OutboxLive.pipe(
    Layer.provide(EventLog.layerPublisher),
    Layer.provide(PgClient.layer({ url, maxConnections: 4 }))
  ))

export const deliverShards = (urls: ReadonlyArray<Redacted.Redacted>) =>
  Effect.forEach(urls, (url) => Layer.launch(workerOf(url)), { concurrency: "unbounded", discard: true })

export const deliverTenant = (url: Redacted.Redacted, tenant: string) =>
  Layer.launch(workerOf(url).pipe(Layer.provide(layerSchemaName(`tenant_${tenant}`))))
