/** The events of the deal desk. All that happens to a deal is delivered in its order; a reminder is not part of that. */
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Schema from "effect/Schema"

export const DealCreated = EventDefinition.make("deal.created", {
  aggregateType: "deal",
  aggregateId: (deal) => deal.dealId,
  payload: Schema.Struct({ dealId: Schema.String, title: Schema.String, amount: Schema.Int }),
  delivery: { orderBy: "aggregate" }
})

/** Version 2 also says which stage the deal came from. */
export const DealStageMoved = EventDefinition.make("deal.stage_moved", {
  version: 2,
  aggregateType: "deal",
  aggregateId: (move) => move.dealId,
  payload: Schema.Struct({ dealId: Schema.String, from: Schema.String, to: Schema.String }),
  upcasters: { 1: (json) => ({ from: "unknown", ...(json as object) }) },
  delivery: { orderBy: "aggregate" }
})

export const ActionAdded = EventDefinition.make("action.added", {
  aggregateType: "action",
  aggregateId: (action) => action.actionId,
  payload: Schema.Struct({ actionId: Schema.String, dealId: Schema.String, title: Schema.String }),
  // The key that the events of the deal itself have.
  delivery: { orderBy: (action) => `deal/${action.dealId}` }
})

/** Emitted when a deal is offered, delivered when it is time to ask what has become of it. */
export const FollowUpDue = EventDefinition.make("deal.follow_up_due", {
  aggregateType: "deal",
  aggregateId: (reminder) => reminder.dealId,
  payload: Schema.Struct({ dealId: Schema.String })
})
