/**
 * A worker of the scaling test: delivers to a table of its own, over a connection past the proxy, and takes a few milliseconds for each
 * event, more where a header asks for it. Ends with the process that started it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import { EventPublisher, Transient } from "@zakops/events/EventPublisher"
import { RetryPolicy } from "@zakops/outbox"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"

const name = process.env["SCALING_NAME"] ?? "worker"
const directUrl = process.env["SCALING_DIRECT_URL"] ?? ""

const destination = Layer.effect(
  EventPublisher,
  Effect.gen(function*() {
    const client = yield* Layer.build(Layer.fresh(PgClient.layer({ url: Redacted.make(directUrl), maxConnections: 2 })))
    const sql = Context.get(client, SqlClient)
    return {
      _tag: "External" as const,
      destination: "the table of deliveries",
      publish: ({ headers, id, orderingKey, sequence }) =>
        sql`INSERT INTO deliveries (event_id, key, sequence, worker)
          VALUES (${id}::uuid, ${orderingKey}, ${sequence}::bigint, ${name})`.pipe(
          Effect.mapError((cause) => new Transient({ reason: "the table cannot be reached", cause })),
          Effect.andThen(Effect.sleep(Duration.fromInputUnsafe((headers["slow"] ?? "3 millis") as Duration.Input)))
        )
    }
  })
)

process.on("disconnect", () => process.exit())

OutboxLive.layer.pipe(
  Layer.provide(destination),
  Layer.provide(OutboxConfig.layerWith({ lease: Duration.seconds(5), batchSize: 20, maintenanceEnabled: false })),
  Layer.provide(Layer.succeed(RetryPolicy, Schedule.spaced("100 millis"))),
  Layer.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL"), maxConnections: Config.succeed(4) })),
  Layer.launch,
  NodeRuntime.runMain
)
