/** The processors that run, and the destinations that they deliver to. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { Count, Id, Time } from "./values.ts"

/** A running processor, as it last told of itself. */
export const Worker = Schema.Struct({
  id: Id,
  name: Schema.String,
  destination: Schema.String,
  /** Whether it takes a route's entries; false: those of the main destination. */
  route: Schema.Boolean,
  version: Schema.String,
  startedAt: Time,
  seenAt: Time,
  /** False where it has not told of itself for longer than it should. */
  alive: Schema.Boolean,
  /** `listening`, or `polling` where LISTEN does not work. */
  listener: Schema.String,
  /** `closed`, `open` or `probing`. */
  breaker: Schema.String,
  /** Entries that it has claimed and not settled yet. */
  holding: Schema.Int,
  /** Entries that it has delivered in a second, lately. */
  perSecond: Schema.Finite,
  /** Its part, from 0 to 1, of what is delivered to its destination; null where nothing is. */
  share: Schema.NullOr(Schema.Finite),
  /** Since it was started. */
  delivered: Schema.Finite,
  failed: Schema.Finite,
  dead: Schema.Finite,
  fenced: Schema.Finite
})
export type Worker = typeof Worker.Type

/** A destination: the main one, or that of a route. */
export const Destination = Schema.Struct({
  /** As its publisher or route is called, which is how it is paused; null for a main destination to which nobody delivers. */
  name: Schema.NullOr(Schema.String),
  /** Whether it is the main one; others are routes. */
  main: Schema.Boolean,
  /** The worst that a worker says of it; null where none runs. */
  breaker: Schema.NullOr(Schema.String),
  workers: Schema.Int,
  pausedAt: Schema.NullOr(Time),
  pausedBy: Schema.NullOr(Schema.String),
  pending: Count,
  dead: Count,
  /** Entries that workers hold at the moment. */
  holding: Schema.Int,
  /** Milliseconds for which the entry that is due longest has been waiting; null where none is due. */
  oldest: Schema.NullOr(Schema.Finite)
})
export type Destination = typeof Destination.Type

export class WorkersGroup extends HttpApiGroup.make("workers")
  .add(HttpApiEndpoint.get("list", "/", { success: Schema.Array(Worker) }))
  .middleware(Access)
  .prefix("/api/workers")
{}

export class DestinationsGroup extends HttpApiGroup.make("destinations")
  .add(HttpApiEndpoint.get("list", "/", { success: Schema.Array(Destination) }))
  .middleware(Access)
  .prefix("/api/destinations")
{}
