/** What a worker of the deal desk runs until its scope closes: the outbox processor, the projections and the mailer. */
import * as EventLog from "@zakops/event-store/EventLog"
import { run } from "@zakops/event-store/runProjection"
import { InboxGuard } from "@zakops/inbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { layerBroker } from "./broker.ts"
import { mailer } from "./consumers.ts"
import { pipeline, timeline } from "./projections.ts"

/** Only an event that cannot be handled at all ends a reader: a deployment has to bring the build that can. */
const inBackground = <E, R>(reader: Effect.Effect<never, E, R>) =>
  reader.pipe(
    Effect.tapCause((cause) => Effect.logError("a reader of the log stopped", cause)),
    Effect.forkScoped
  )

const readers = Layer.effectDiscard(
  Effect.all([inBackground(run(timeline)), inBackground(run(pipeline)), inBackground(mailer)], { discard: true })
).pipe(Layer.provide(InboxGuard.layer))

/** Needs the client, and the settings of the outbox. */
export const layerWorker = Layer.merge(OutboxLive.layer.pipe(Layer.provide(EventLog.layerPublisher)), readers).pipe(
  Layer.provide(layerBroker)
)
