/** Dead letters: found, counted, redriven, discarded. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access, ReadsOnly } from "./Access.ts"
import { CountChanged, EmptyFilter, InvalidRequest, StoppedMidway } from "./errors.ts"
import { Age, Count, Id, pageOf, paging, Text, Time } from "./values.ts"

/** As a list shows it. */
export const DeadLetter = Schema.Struct({
  id: Id,
  eventType: Schema.String,
  schemaVersion: Schema.Int,
  correlationId: Schema.String,
  orderingKey: Schema.NullOr(Schema.String),
  /** A route's name; null for the main destination. */
  destination: Schema.NullOr(Schema.String),
  blocks: Schema.Boolean,
  attempts: Schema.Int,
  maxAttempts: Schema.Int,
  redrives: Schema.Int,
  createdAt: Schema.NullOr(Time),
  diedAt: Schema.NullOr(Time),
  error: Schema.String
})
export type DeadLetter = typeof DeadLetter.Type

const conditions = {
  type: Schema.optional(Text(100)),
  /** Those whose error contains this text. */
  error: Schema.optional(Text(1000)),
  key: Schema.optional(Text(1000)),
  /** Those of this destination: a route's name, or "" for the main one. */
  destination: Schema.optional(Text(200)),
  /** Those that died at least this long ago. */
  olderThan: Schema.optional(Age),
  /** Those that died less than this long ago. */
  newerThan: Schema.optional(Age)
}

/** Each that is given has to hold. */
export const DeadFilter = Schema.Struct({ ids: Schema.optional(Schema.Array(Id)), ...conditions })
export type DeadFilter = typeof DeadFilter.Type

/** What is to be changed: a filter with at least one condition, or in so many words `"all"`. */
export const DeadSelection = Schema.Union([Schema.Literal("all"), DeadFilter])
export type DeadSelection = typeof DeadSelection.Type

/** A group of dead letters: those of one type, error, key or age, or of one type and error. */
export const DeadGroup = Schema.Struct({
  /** Null: without one. */
  group: Schema.NullOr(Schema.String),
  /** With `by=type-error`, the error. */
  error: Schema.NullOr(Schema.String),
  count: Schema.Int,
  oldest: Schema.NullOr(Time),
  newest: Schema.NullOr(Time)
})
export type DeadGroup = typeof DeadGroup.Type

export const DeadGroups = Schema.Struct({
  /** The largest first, at most 100; by age, youngest first. */
  groups: Schema.Array(DeadGroup),
  /** True where there are more dead letters than were looked at: the latest 10,000 were, or 2,000 where errors are compared. */
  sampled: Schema.Boolean
})

/** What a redrive would meet, by the event definitions that the server knows. */
export const Decoding = Schema.Struct({
  ready: Schema.Int,
  newer: Schema.Int,
  undecodable: Schema.Int,
  unknownType: Schema.Int,
  /** The first few that would not go. */
  examples: Schema.Array(Schema.Struct({ id: Id, eventType: Schema.String, reason: Schema.String }))
})

export const Preview = Schema.Struct({
  /** How many the selection finds: exact, to be given as `expected`. */
  count: Schema.Int,
  byType: Schema.Array(DeadGroup),
  byError: Schema.Array(DeadGroup),
  /** Null where the server was given no definitions, or where there are more than 10,000. */
  decoding: Schema.NullOr(Decoding)
})
export type Preview = typeof Preview.Type

const selection = DeadSelection
/** Refused with `CountChanged` where another number matches by now. */
const expected = Schema.optional(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))

export class DeadLettersGroup extends HttpApiGroup.make("dead")
  .add(
    /** Latest written first. */
    HttpApiEndpoint.get("list", "/", {
      query: { ...conditions, ...paging },
      success: pageOf(DeadLetter),
      error: InvalidRequest
    }),
    HttpApiEndpoint.get("count", "/count", { query: conditions, success: Count, error: InvalidRequest }),
    HttpApiEndpoint.get("groups", "/groups", {
      query: { by: Schema.Literals(["type", "error", "key", "age", "type-error"]), ...conditions },
      success: DeadGroups,
      error: InvalidRequest
    }),
    /** How many a change would meet. Changes nothing. */
    HttpApiEndpoint.post("preview", "/preview", {
      payload: Schema.Struct({ selection }),
      success: Preview,
      error: [InvalidRequest, EmptyFilter]
    }).annotate(ReadsOnly, true),
    /** Has them tried again, with all their attempts; `rate` becomes due in a second. */
    HttpApiEndpoint.post("redrive", "/redrive", {
      payload: Schema.Struct({ selection, expected, rate: Schema.optional(Schema.Finite) }),
      success: Schema.Struct({ redriven: Schema.Int }),
      error: [InvalidRequest, EmptyFilter, CountChanged, StoppedMidway]
    }),
    /** Gives them up: they will never be delivered, and their keys go on without them. */
    HttpApiEndpoint.post("discard", "/discard", {
      payload: Schema.Struct({ selection, expected }),
      success: Schema.Struct({ discarded: Schema.Int }),
      error: [InvalidRequest, EmptyFilter, CountChanged, StoppedMidway]
    })
  )
  .middleware(Access)
  .prefix("/api/dead")
{}
