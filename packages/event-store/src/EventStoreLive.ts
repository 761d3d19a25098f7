/**
 * The event store with the outbox around it and the log as its destination, as one layer: reads the settings, gives the services of both,
 * and runs the processor for as long as it is in scope. Needs only the database.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { EventPublisher } from "@zakops/events/EventPublisher"
import { OutboxLive } from "@zakops/outbox/OutboxLive"
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import * as EventLog from "./EventLog.ts"
import type { InlineProjection } from "./InlineProjection.ts"
import { EventStore, layerWith } from "./EventStore.ts"

type Live = Layer.Layer<
  EventStore | EventPublisher | Layer.Success<typeof OutboxLive>,
  Layer.Error<typeof OutboxLive> | Layer.Error<typeof EventLog.layerPublisher>,
  PgClient | SqlClient
>

/** Fails at start as `OutboxLive` does, and with `RestoredFromDump`. */
export const EventStoreLive: Live = EventStore.layer.pipe(
  Layer.provideMerge(OutboxLive),
  Layer.provideMerge(EventLog.layerPublisher)
)

/** As `EventStoreLive`, with projections that are written in the transaction of each append. */
export const EventStoreLiveWith = <R = never>(options: { readonly inline: ReadonlyArray<InlineProjection<R>> }) =>
  layerWith(options).pipe(Layer.provideMerge(OutboxLive), Layer.provideMerge(EventLog.layerPublisher))
