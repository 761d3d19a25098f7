/** Who reads the log: subscriptions, how far behind they are, and what they have parked; and projections with their rebuilds. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest, Refused } from "./errors.ts"
import { Big, Count, Id, pageOf, paging, Text, Time } from "./values.ts"

/** How far a subscription is behind the log. */
export const Lag = Schema.Struct({
  events: Count,
  /** The age in seconds of the first event that it has not handled; 0 where there is none. */
  seconds: Schema.Finite
})

export const Consumer = Schema.Struct({
  subscription: Schema.String,
  /** The position of the last event that it has handled. Not a count: positions have gaps. */
  position: Big,
  /** That of the log's last event. */
  newest: Big,
  lag: Lag,
  parked: Count,
  /** The process that runs it, as host:pid; null where none does. */
  runner: Schema.NullOr(Schema.String),
  leaseUntil: Schema.NullOr(Time),
  updatedAt: Time
})
export type Consumer = typeof Consumer.Type

export const ParkedEvent = Schema.Struct({
  eventId: Id,
  eventType: Schema.String,
  schemaVersion: Schema.Int,
  position: Big,
  reason: Schema.Literals(["newer", "failed", "behind"]),
  error: Schema.String,
  attempts: Schema.Int,
  parkedAt: Time
})
export type ParkedEvent = typeof ParkedEvent.Type

const subscription = Text(100)
const parkedPayload = Schema.Struct({
  subscription,
  /** Which of its parked events: their ids, or `"all"`. */
  events: Schema.Union([Schema.Literal("all"), Schema.Array(Id)])
})

export class ConsumersGroup extends HttpApiGroup.make("consumers")
  .add(
    HttpApiEndpoint.get("list", "/", { success: Schema.Array(Consumer) }),
    /** In the order of the log. */
    HttpApiEndpoint.get("parked", "/parked", {
      query: { subscription, ...paging },
      success: pageOf(ParkedEvent),
      error: InvalidRequest
    }),
    /** Has parked events tried again by whoever runs the subscription; those behind them follow. */
    HttpApiEndpoint.post("retryParked", "/parked/retry", {
      payload: parkedPayload,
      success: Schema.Struct({ retried: Schema.Int }),
      error: InvalidRequest
    }),
    /** Gives parked events up for this subscription; those behind them are tried. */
    HttpApiEndpoint.post("discardParked", "/parked/discard", {
      payload: parkedPayload,
      success: Schema.Struct({ discarded: Schema.Int }),
      error: InvalidRequest
    })
  )
  .middleware(Access)
  .prefix("/api/consumers")
{}

export const Projection = Schema.Struct({
  name: Schema.String,
  version: Schema.Int,
  status: Schema.Literals(["building", "live", "retired"]),
  subscription: Schema.String,
  position: Big,
  newest: Big,
  /** Of a rebuild: from 0 to 1, by positions. */
  progress: Schema.Finite,
  error: Schema.NullOr(Schema.String),
  /** Counted up to 1,000. */
  parked: Schema.Int,
  runner: Schema.NullOr(Schema.String),
  canReset: Schema.Boolean,
  resetRequested: Schema.Boolean
})
export type Projection = typeof Projection.Type

export class ProjectionsGroup extends HttpApiGroup.make("projections")
  .add(
    HttpApiEndpoint.get("list", "/", { success: Schema.Array(Projection) }),
    /** Empties its read model and builds it anew from the first event: the given version, or the live one. */
    HttpApiEndpoint.post("rebuild", "/rebuild", {
      payload: Schema.Struct({ name: Text(80), version: Schema.optional(Schema.Int) }),
      success: Schema.Struct({ version: Schema.Int }),
      error: [InvalidRequest, Refused]
    }),
    /** Has this version become the live one as soon as it has caught up. */
    HttpApiEndpoint.post("switch", "/switch", {
      payload: Schema.Struct({ name: Text(80), version: Schema.Int }),
      success: Schema.Struct({ version: Schema.Int }),
      error: [InvalidRequest, Refused]
    })
  )
  .middleware(Access)
  .prefix("/api/projections")
{}
