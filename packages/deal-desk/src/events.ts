/** The events of the deal desk. */
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Schema from "effect/Schema"

export const DealCreated = EventDefinition.make("deal.created", {
  aggregateType: "deal",
  aggregateId: (deal) => deal.dealId,
  payload: Schema.Struct({ dealId: Schema.String, title: Schema.String, amount: Schema.Int })
})

/** Version 2 also says which stage the deal came from. */
export const DealStageMoved = EventDefinition.make("deal.stage_moved", {
  version: 2,
  aggregateType: "deal",
  aggregateId: (move) => move.dealId,
  payload: Schema.Struct({ dealId: Schema.String, from: Schema.String, to: Schema.String }),
  upcasters: { 1: (json) => ({ from: "unknown", ...(json as object) }) }
})

export const ActionAdded = EventDefinition.make("action.added", {
  aggregateType: "action",
  aggregateId: (action) => action.actionId,
  payload: Schema.Struct({ actionId: Schema.String, dealId: Schema.String, title: Schema.String })
})
