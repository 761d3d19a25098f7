/** Events that the tests emit. */
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Schema from "effect/Schema"

export const DealMade = EventDefinition.make("deal.made", {
  aggregateType: "deal",
  aggregateId: (deal) => deal.dealId,
  payload: Schema.Struct({ dealId: Schema.String, title: Schema.String })
})
