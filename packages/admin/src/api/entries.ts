/** Entries of the outbox, whatever their state. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest, NotFound } from "./errors.ts"
import { Big, Id, JsonText, paging, Text, Time } from "./values.ts"

/**
 * `pending`: waits for nothing but its time. `behind`: for another entry of its key. `held`: its type is paused, or has a limit.
 * `processing`: a worker has it. `discarded`: a dead one that was given up.
 */
export const EntryState = Schema.Literals(["pending", "behind", "held", "processing", "delivered", "dead", "discarded"])
export type EntryState = typeof EntryState.Type

/** An entry as a list shows it. */
export const EntrySummary = Schema.Struct({
  id: Id,
  /** The event's id, which for a route's entry is another. */
  eventId: Id,
  seq: Big,
  state: EntryState,
  eventType: Schema.String,
  schemaVersion: Schema.Int,
  correlationId: Schema.String,
  aggregateType: Schema.NullOr(Schema.String),
  aggregateId: Schema.NullOr(Schema.String),
  orderingKey: Schema.NullOr(Schema.String),
  /** A route's name; null for the main destination. */
  destination: Schema.NullOr(Schema.String),
  attempts: Schema.Int,
  maxAttempts: Schema.Int,
  redrives: Schema.Int,
  /** Whether it is dead and its key waits for it. */
  blocks: Schema.Boolean,
  createdAt: Schema.NullOr(Time),
  nextAttemptAt: Schema.NullOr(Time),
  lastAttemptAt: Schema.NullOr(Time),
  deliveredAt: Schema.NullOr(Time),
  diedAt: Schema.NullOr(Time),
  error: Schema.NullOr(Schema.String)
})
export type EntrySummary = typeof EntrySummary.Type

export const EntryPage = Schema.Struct({
  items: Schema.Array(EntrySummary),
  /**
   * Where the page after it begins; null on the last one. A filter looks through a bounded number of entries for a page, which may have
   * few items, or none, and go on.
   */
  next: Schema.NullOr(Schema.String)
})
export type EntryPage = typeof EntryPage.Type

/** Each that is given has to hold. */
export const entryFilter = {
  /** Without it: entries of any state, in the order of their ids, highest first. */
  state: Schema.optional(EntryState),
  type: Schema.optional(Text(100)),
  key: Schema.optional(Text(1000)),
  destination: Schema.optional(Text(200)),
  aggregateType: Schema.optional(Text(50)),
  aggregateId: Schema.optional(Text(100)),
  correlationId: Schema.optional(Id),
  /** Those whose error contains this text. */
  error: Schema.optional(Text(1000))
}

/** An attempt that did not deliver the entry. */
export const Attempt = Schema.Struct({
  attempt: Schema.Int,
  destination: Schema.String,
  worker: Schema.NullOr(Schema.String),
  startedAt: Schema.NullOr(Time),
  endedAt: Time,
  outcome: Schema.String,
  error: Schema.NullOr(Schema.String),
  traceId: Schema.NullOr(Schema.String)
})

/** What became of the same event at one destination. */
export const AtDestination = Schema.Struct({
  entryId: Id,
  /** A route's name; null for the main destination. */
  destination: Schema.NullOr(Schema.String),
  state: EntryState,
  attempts: Schema.Int,
  deliveredAt: Schema.NullOr(Time),
  nextAttemptAt: Schema.NullOr(Time),
  error: Schema.NullOr(Schema.String)
})

/** All that is known of an entry. */
export const EntryDetail = Schema.Struct({
  entry: EntrySummary,
  traceId: Schema.NullOr(Schema.String),
  headers: JsonText,
  /** The event's data; null where it is larger than 1 MiB, or there is none. */
  data: Schema.NullOr(JsonText),
  dataBytes: Schema.Int,
  /** Whether fields of headers or data are masked. */
  masked: Schema.Boolean,
  /** Why the row cannot be read as an event; null where it can. */
  unreadable: Schema.NullOr(Schema.String),
  /** Milliseconds after the first failure, the second, and so on; null: the processor's policy. */
  retryWaits: Schema.NullOr(Schema.Array(Schema.Finite)),
  onDead: Schema.Literals(["block", "skip"]),
  expiresAt: Schema.NullOr(Time),
  discardedAt: Schema.NullOr(Time),
  /** How often the process was gone in the middle of its delivery. */
  crashes: Schema.Int,
  /** Who holds it, and until when that holds without being renewed. */
  claimedBy: Schema.NullOr(Schema.String),
  leaseUntil: Schema.NullOr(Time),
  /** Attempts that did not deliver it, oldest first. */
  history: Schema.Array(Attempt),
  /** Up to 5 unfinished or dead entries before it in its key, and up to 5 after it, in the key's order; without a key none. */
  neighbours: Schema.Struct({ before: Schema.Array(EntrySummary), after: Schema.Array(EntrySummary) }),
  /** What became of the event, one for each destination. */
  destinations: Schema.Array(AtDestination),
  /** Where the event stands in the log of this database; null where it does not. */
  logged: Schema.NullOr(Schema.Struct({ position: Big, streamVersion: Schema.NullOr(Big) }))
})
export type EntryDetail = typeof EntryDetail.Type

export class EntriesGroup extends HttpApiGroup.make("entries")
  .add(
    HttpApiEndpoint.get("list", "/", {
      query: { ...entryFilter, ...paging },
      success: EntryPage,
      error: InvalidRequest
    }),
    /** By the entry's id, or that of its event. */
    HttpApiEndpoint.get("show", "/:id", { params: { id: Id }, success: EntryDetail, error: NotFound })
  )
  .middleware(Access)
  .prefix("/api/entries")
{}
