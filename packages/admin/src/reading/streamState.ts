/** An aggregate's state after one of its events: by the decider of its type where one is known, else the last value of each field. */
import type { Decider } from "@zakops/event-store/Decider"
import { readStream } from "@zakops/event-store/readStream"
import type { Happening } from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { Database } from "@zakops/migrations/Database"
import { InvalidRequest } from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { StreamState } from "../api/streams.ts"
import type { StreamName } from "../EventStreams.ts"
import { checkStream } from "./listStreams.ts"

/** How the state of one type of aggregate comes from its events. */
export interface StateView {
  readonly aggregateType: string
  /** The state as JSON can hold it; fails with words where an event cannot be read. */
  readonly fold: (events: ReadonlyArray<EventEnvelope>) => Effect.Effect<unknown, { readonly message: string }>
}

/** A state, and the types of the events that it came of. */
export interface FoldedState extends StreamState {
  readonly eventTypes: ReadonlyArray<string>
}

/** The view of the type cannot make a state of these events. The reason may quote them. */
export class NotFolded extends Schema.TaggedError<NotFolded>()("NotFolded", { reason: Schema.String }) {
  override get message() {
    return `version: cannot be folded: ${this.reason}`
  }
}

/** The views that a server was given; none unless set. */
export const StateViews = Context.Reference<ReadonlyArray<StateView>>("@zakops/admin/StateViews", {
  defaultValue: () => []
})

/** The view of a decider whose events need nothing to be read. */
export const viewOf = <Command, State, Event extends Happening<string, unknown>, E>(
  decider: Decider<Command, State, Event, E>
): StateView => ({
  aggregateType: decider.aggregateType,
  fold: Effect.fnUntraced(function*(events) {
    let state = decider.initial
    for (const event of events) state = decider.evolve(state, yield* decider.read(event))
    return state
  })
})

/** Longer streams are not folded for a look at them. */
const mostEvents = 10_000
const mostBytes = 1_048_576
const pageSize = 500

const tooLarge = (what: string) => new InvalidRequest({ field: "version", problem: `asks for too much: ${what}` })

export const streamState = (db: Database, views: ReadonlyArray<StateView>) => {
  const { sql, table } = db
  const read = readStream(db)
  const versionOf = ({ aggregateId, aggregateType }: StreamName, version: bigint | undefined) =>
    Effect.map(
      sql<{ version: string }>`
        SELECT log.stream_version::text AS version FROM ${table.agentEvents} AS log
        WHERE log.aggregate_type = ${aggregateType} AND log.aggregate_id = ${aggregateId} AND ${
        version === undefined ? sql`log.stream_version > 0` : sql`log.stream_version = ${String(version)}::bigint`
      } ORDER BY log.stream_version DESC LIMIT 1`,
      ([row]) => row === undefined ? undefined : BigInt(row.version)
    )

  const notFolded = (error: unknown) =>
    new NotFolded({ reason: error instanceof Error ? error.message : String(error) })

  /** The events themselves, by the decider's own eyes. */
  const folded = Effect.fnUntraced(function*(view: StateView, stream: StreamName, version: bigint) {
    const events: Array<EventEnvelope> = []
    while (events.length < version) {
      const page = yield* Effect.catchTag(
        read(stream, "forward", events.length + 1, Math.min(pageSize, Number(version) - events.length)),
        "UnreadableRow",
        notFolded
      )
      if (page.length === 0) break
      events.push(...page.map(({ envelope }) => envelope))
    }
    const state = yield* Effect.mapError(view.fold(events), ({ message }) => new NotFolded({ reason: message }))
    // A bigint, or a circle: JSON has neither.
    const text = yield* Effect.try({ try: () => JSON.stringify(state) ?? "null", catch: notFolded })
    return { state: text, eventTypes: [...new Set(events.map(({ eventType }) => eventType))] }
  })

  /** In the database, so that no number loses a digit. */
  const merged = Effect.fnUntraced(function*({ aggregateId, aggregateType }: StreamName, version: bigint) {
    const [row] = yield* sql<{ state: string | null; eventTypes: ReadonlyArray<string> }>`
      SELECT CASE WHEN octet_length(merged.state) <= ${mostBytes}::int THEN merged.state END AS state, merged.types AS "eventTypes" FROM (
        SELECT coalesce(jsonb_object_agg(field.key, field.value ORDER BY log.stream_version), '{}')::text AS state,
          coalesce(array_agg(DISTINCT coalesce(log.event_type, '')), '{}')::text[] AS types
        FROM ${table.agentEvents} AS log CROSS JOIN LATERAL jsonb_each(
          CASE WHEN jsonb_typeof(log.event_data) = 'object' THEN log.event_data ELSE '{}' END
        ) AS field
        WHERE log.aggregate_type = ${aggregateType} AND log.aggregate_id = ${aggregateId}
          AND log.stream_version <= ${String(version)}::bigint
      ) AS merged`
    if (row === undefined || row.state === null) return yield* tooLarge("the state is larger than 1 MiB")
    return { state: row.state, eventTypes: row.eventTypes }
  })

  return Effect.fnUntraced(function*(stream: StreamName, version: bigint | undefined) {
    yield* checkStream(stream)
    const at = yield* versionOf(stream, version)
    if (at === undefined) return Option.none<FoldedState>()
    if (at > mostEvents) {
      return yield* tooLarge(`there are ${at} events up to there, and ${mostEvents} are folded at most`)
    }
    const view = views.find(({ aggregateType }) => aggregateType === stream.aggregateType)
    return Option.some<FoldedState>({
      aggregateType: stream.aggregateType,
      aggregateId: stream.aggregateId,
      version: at,
      by: view === undefined ? "merged" : "decider",
      ...view === undefined ? yield* merged(stream, at) : yield* folded(view, stream, at),
      masked: false
    })
  })
}
