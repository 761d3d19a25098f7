/** The examples of docs/rollout.md. */
import * as EventLog from "@zakops/event-store/EventLog"
import { OutboxConfig } from "@zakops/outbox"
import * as OutboxLive from "@zakops/outbox/OutboxLive"
import * as Layer from "effect/Layer"

const Rollout = OutboxLive.layer.pipe(
  Layer.provide(OutboxConfig.layerWith({ modes: { "deal.created": "shadow", "*": "direct" } })),
  Layer.provide(EventLog.layerPublisher)
)

export { Rollout }
