/** What the producers write: events of 500 ordering keys, events without one, and events of streams. */
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Schema from "effect/Schema"

/** What becomes of an event at the destination: taken sooner or later, refused every time, or refused for good. */
export const Fate = Schema.Literals(["taken", "poisoned", "cursed"])
export type Fate = typeof Fate.Type

export const Moved = EventDefinition.make("torture.moved", {
  aggregateType: "key",
  aggregateId: (moved) => moved.key,
  payload: Schema.Struct({ key: Schema.String, fate: Fate }),
  delivery: { orderBy: "aggregate", onDead: "skip" }
})

export const Booked = EventDefinition.make("torture.booked", {
  aggregateType: "account",
  payload: Schema.Struct({ fate: Fate })
})
