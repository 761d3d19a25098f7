/** What a worker of the deal desk runs: the outbox processor and the two consumers, until its scope closes. */
import * as EventLog from "@zakops/event-store/EventLog"
import { InboxGuard } from "@zakops/inbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mailer, timeline } from "./consumers.ts"

const consumers = Layer.effectDiscard(
  Effect.forEach([timeline, mailer], (consumer) =>
    consumer.pipe(
      // Only an event that this build cannot decode ends a consumer: a deployment has to bring the build that can.
      Effect.tapCause((cause) => Effect.logError("a consumer stopped", cause)),
      Effect.forkScoped
    ), { discard: true })
).pipe(Layer.provide(InboxGuard.layer))

/** Needs the client, and the settings of the outbox. */
export const layerWorker = Layer.merge(OutboxLive.layer.pipe(Layer.provide(EventLog.layerPublisher)), consumers)
