/** The event log: aggregates' streams, an aggregate's state at a version, and the tail of what happens. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest, NotFound } from "./errors.ts"
import { Big, Id, JsonText, Limit, pageOf, paging, Text, Time } from "./values.ts"

/** An aggregate with versioned events. */
export const StreamSummary = Schema.Struct({
  aggregateType: Schema.String,
  aggregateId: Schema.String,
  version: Big
})
export type StreamSummary = typeof StreamSummary.Type

/** An event as the log holds it. */
export const LoggedEvent = Schema.Struct({
  id: Id,
  eventType: Schema.String,
  schemaVersion: Schema.Int,
  aggregateType: Schema.NullOr(Schema.String),
  aggregateId: Schema.NullOr(Schema.String),
  /** From 1 up within its stream; null where the event was reported rather than decided. */
  streamVersion: Schema.NullOr(Big),
  correlationId: Schema.String,
  traceId: Schema.NullOr(Schema.String),
  createdAt: Schema.NullOr(Time),
  position: Big,
  headers: JsonText,
  /** Null where it is larger than 1 MiB, or there is none. */
  data: Schema.NullOr(JsonText),
  dataBytes: Schema.Int,
  masked: Schema.Boolean
})
export type LoggedEvent = typeof LoggedEvent.Type

/** An aggregate's state after one of its events. */
export const StreamState = Schema.Struct({
  aggregateType: Schema.String,
  aggregateId: Schema.String,
  version: Big,
  /**
   * `decider`: folded by the decider that the server was given for this type. `merged`: nobody has, and it is the last value of each field
   * of the events' data.
   */
  by: Schema.Literals(["decider", "merged"]),
  state: JsonText,
  masked: Schema.Boolean
})
export type StreamState = typeof StreamState.Type

/** What the tail sends: events in the order of the log with the cursor behind each, or a sign of life where there is none. */
export const TailItem = Schema.Union([
  Schema.TaggedStruct("Event", { cursor: Schema.String, event: LoggedEvent }),
  Schema.TaggedStruct("Idle", { cursor: Schema.String })
])
export type TailItem = typeof TailItem.Type

/** Which events of the log; what is not given lets all pass. */
export const logFilter = {
  type: Schema.optional(Text(100)),
  aggregateType: Schema.optional(Text(50)),
  aggregateId: Schema.optional(Text(100)),
  correlationId: Schema.optional(Id)
}

const stream = { aggregateType: Text(50), aggregateId: Text(100) }
/** 1 up. */
const version = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 1n, maximum: 9_223_372_036_854_775_807n }))

export class StreamsGroup extends HttpApiGroup.make("streams")
  .add(
    /** In the order of type and id. `from`: ids from there on. */
    HttpApiEndpoint.get("list", "/", {
      query: { aggregateType: Schema.optional(Text(50)), from: Schema.optional(Text(100)), ...paging },
      success: pageOf(StreamSummary),
      error: InvalidRequest
    }),
    /** An aggregate's events by version: `next` is the version to be given as `from`. */
    HttpApiEndpoint.get("events", "/events", {
      query: {
        ...stream,
        from: Schema.optional(version),
        direction: Schema.optional(Schema.Literals(["forward", "backward"])),
        limit: Schema.optional(Limit)
      },
      success: pageOf(LoggedEvent),
      error: InvalidRequest
    }),
    /** After the last event, or the one of `version`. */
    HttpApiEndpoint.get("state", "/state", {
      query: { ...stream, version: Schema.optional(version) },
      success: StreamState,
      error: [NotFound, InvalidRequest]
    }),
    /** The log's events after a cursor, at most `limit`; without one, the latest, in their order. `next` is never null. */
    HttpApiEndpoint.get("log", "/log", {
      query: { ...logFilter, ...paging },
      success: pageOf(LoggedEvent),
      error: InvalidRequest
    }),
    /** The log's events as they happen, as server-sent events, from `after` on, or from now. A sign of life every 15 s. */
    HttpApiEndpoint.get("tail", "/tail", {
      query: { ...logFilter, after: Schema.optional(Text(500)) },
      success: HttpApiSchema.StreamSse({ data: Schema.toCodecJson(TailItem) }),
      error: InvalidRequest
    })
  )
  .middleware(Access)
  .prefix("/api/streams")
{}
