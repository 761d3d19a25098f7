/**
 * A worker: delivers to the destination outside and into the log, and runs the log's readers, a guarded consumer and a projection. Tells
 * its parent how much memory it has, and when a reader stops. Ends with the process that started it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as EventLog from "@zakops/event-store/EventLog"
import { run } from "@zakops/event-store/runProjection"
import * as Projection from "@zakops/event-store/Projection"
import * as Subscription from "@zakops/event-store/Subscription"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import { RetryPolicy } from "@zakops/outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"
import { layerDestination } from "./Destination.ts"
import { Booked, Moved } from "./events.ts"
import { ladder, lease, logSchema, outboxSettings, outsideSchema, pollInterval } from "./settings.ts"

/** What it tells. */
export type Told =
  | { readonly ready: true; readonly clock: number }
  | { readonly memory: number }
  | { readonly stopped: string }
  /** For so many milliseconds up to now the process did not run: SIGSTOP, or a machine that has too much to do. */
  | { readonly stoodStill: number }

const name = process.env["TORTURE_NAME"] ?? "worker"
const destinationPort = Number(process.env["TORTURE_DESTINATION"])
const tell = (told: Told) => process.connected && process.send?.(told)

/** A processor of its own, also where there is another one of the same schema. */
const deliveringAs = (worker: string) =>
  Layer.fresh(OutboxLive.layer.pipe(
    Layer.provide(layerDestination(destinationPort, worker)),
    Layer.provide(layerSchemaName(outsideSchema))
  ))

const duplicate = process.env["TORTURE_DUPLICATE"] === "yes" ? deliveringAs(`${name} duplicate`) : Layer.empty

const logging = Layer.fresh(
  OutboxLive.layer.pipe(Layer.provide(EventLog.layerPublisher), Layer.provide(layerSchemaName(logSchema)))
)

const effect = ({ id }: EventEnvelope) =>
  Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO torture.effects (event_id, worker) VALUES (${id}::uuid, ${name})`)

const guarded = Effect.gen(function*() {
  return yield* Consumer.run({
    consumerId: "effects",
    source: yield* Subscription.make("effects", { lease, pollInterval, batchSize: 50 }),
    handlers: [Moved, Booked].map((definition) => Consumer.on(definition, ({ envelope }) => effect(envelope))),
    retry: Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("1 second")])
  })
})

// The digest depends on which events came, how often, and in which order.
const fold = Projection.make({
  name: "fold",
  filter: {},
  handle: (events) =>
    Effect.forEach(
      events,
      ({ envelope: { aggregateId, aggregateType, id } }) =>
        Effect.flatMap(SqlClient, (sql) =>
          sql`INSERT INTO torture.fold AS fold VALUES (${`${aggregateType}/${aggregateId}`}, 1, md5(${id}))
        ON CONFLICT (id) DO UPDATE SET events = fold.events + 1, digest = md5(fold.digest || ${id})`)
    )
})

const inBackground = <E, R>(reader: Effect.Effect<never, E, R>) =>
  reader.pipe(
    Effect.tapCause((cause) =>
      Effect.andThen(Effect.logError("a reader stopped", cause), Effect.sync(() => tell({ stopped: String(cause) })))
    ),
    Effect.forkScoped
  )

const readers = Layer.effectDiscard(
  Effect.all([inBackground(guarded), inBackground(run(fold, { lease, pollInterval, batchSize: 50 }))], {
    discard: true
  })
).pipe(Layer.provide(InboxGuard.layer), Layer.provide(layerSchemaName(logSchema)))

const ready = Layer.effectDiscard(Effect.gen(function*() {
  tell({ ready: true, clock: Date.now() })
  yield* Effect.sync(() => tell({ memory: process.memoryUsage().rss })).pipe(
    Effect.delay("1 second"),
    Effect.forever,
    Effect.forkScoped
  )
}))

process.on("disconnect", () => process.exit())

let ran = performance.now()
setInterval(() => {
  const millis = performance.now() - ran
  if (millis > 700) tell({ stoodStill: millis })
  ran = performance.now()
}, 100).unref()

// Ready is who has got as far as running all of it.
ready.pipe(
  Layer.provide(Layer.mergeAll(deliveringAs(name), duplicate, logging, readers)),
  Layer.provide(OutboxConfig.layerWith(outboxSettings)),
  Layer.provide(Layer.succeed(RetryPolicy, ladder)),
  Layer.provide(PgClient.layerConfig({
    url: Config.Redacted("DATABASE_URL"),
    maxConnections: Config.succeed(8),
    applicationName: Config.succeed(name)
  })),
  Layer.launch,
  NodeRuntime.runMain
)
