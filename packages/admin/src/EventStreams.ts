/**
 * The event log to look through: aggregates and their events by version, the state of one at a version, and what happens as it happens.
 *
 * Only reads. Data and headers are given as they are stored, personal data enciphered; masking is the API's.
 */
import type { InvalidRequest } from "@zakops/outbox"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type * as Stream from "effect/Stream"
import type { LoggedEvent, StreamSummary, TailItem } from "./api/streams.ts"
import type { PageOptions } from "./Entries.ts"
import { listLog, tailLog } from "./reading/listLog.ts"
import { listStreamEvents, listStreams } from "./reading/listStreams.ts"
import type { FoldedState, NotFolded } from "./reading/streamState.ts"
import { StateViews, streamState } from "./reading/streamState.ts"

/** Which events of the log; what is not given lets all pass. */
export interface LogFilter {
  readonly type?: string | undefined
  readonly aggregateType?: string | undefined
  readonly aggregateId?: string | undefined
  readonly correlationId?: string | undefined
}

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next: string | null
}

export interface StreamName {
  readonly aggregateType: string
  readonly aggregateId: string
}

export class EventStreams extends Context.Service<EventStreams, {
  /** Aggregates in the order of type and id; with `from`, of `aggregateType` the ids from there on. */
  readonly list: (
    filter?: { readonly aggregateType?: string | undefined; readonly from?: string | undefined },
    page?: PageOptions
  ) => Effect.Effect<Page<StreamSummary>, InvalidRequest | SqlError>
  /** Events by version, from `from` on (itself included). */
  readonly events: (
    stream: StreamName,
    options?: {
      readonly from?: bigint | undefined
      readonly direction?: "forward" | "backward" | undefined
      readonly limit?: number | undefined
    }
  ) => Effect.Effect<Page<LoggedEvent>, InvalidRequest | SqlError>
  /** After its last event, or the one of `version`; none where there is no such event. */
  readonly state: (
    stream: StreamName,
    version?: bigint
  ) => Effect.Effect<Option.Option<FoldedState>, NotFolded | InvalidRequest | SqlError>
  /** The log's events after a cursor; without one the latest, in their order. */
  readonly log: (
    filter?: LogFilter,
    page?: PageOptions
  ) => Effect.Effect<Page<LoggedEvent>, InvalidRequest | SqlError>
  /** The log's events as they happen, from `after` on, or from now; a sign of life every 15 s. */
  readonly tail: (
    filter?: LogFilter,
    after?: string
  ) => Effect.Effect<Stream.Stream<TailItem, SqlError>, InvalidRequest | SqlError>
}>()("@zakops/admin/EventStreams") {
  /** Folds states by the `StateViews` of its context. */
  static readonly layer = Layer.effect(
    EventStreams,
    Effect.gen(function*() {
      const db = yield* Database.make
      const list = listStreams(db)
      const events = listStreamEvents(db)
      const state = streamState(db, yield* StateViews)
      const log = listLog(db)
      const tail = tailLog(db)
      return EventStreams.of({
        list: Effect.fn("EventStreams.list")((filter = {}, page = {}) => list(filter, page)),
        events: Effect.fn("EventStreams.events")((stream, options = {}) => events(stream, options)),
        state: Effect.fn("EventStreams.state")((stream, version) => state(stream, version)),
        log: Effect.fn("EventStreams.log")((filter = {}, page = {}) => log(filter, page)),
        tail: (filter = {}, after) => tail(filter, after)
      })
    })
  )
}
