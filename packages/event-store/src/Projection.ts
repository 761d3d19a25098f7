/**
 * A read model as a fold of the log: handler and checkpoint in one transaction, so that each event has its effect exactly once.
 *
 * A new version is built beside the old one, in tables of its own, and switched to when it has caught up; or one version is reset and
 * built anew in place. `run` runs it, one process at a time; `zakops projections` shows and rebuilds it.
 */
import type {
  AnyEventDefinition,
  NewerThanThisBuild,
  Payload,
  ReadEvent,
  Services,
  UndecodableEvent
} from "@zakops/events/EventDefinition"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { LogFilter } from "./readLog.ts"
import type { RecordedEvent } from "./RecordedEvent.ts"

/** What the events of one type do to the read model. */
export interface Handler<out E = never, out R = never> {
  readonly type: string
  readonly handle: (event: RecordedEvent) => Effect.Effect<unknown, E | NewerThanThisBuild | UndecodableEvent, R>
}

/** Handles events of `definition`: decoded, upcast, typed. */
export const on = <D extends AnyEventDefinition, E, R>(
  definition: D,
  handle: (event: ReadEvent<Payload<D>>, recorded: RecordedEvent) => Effect.Effect<unknown, E, R>
): Handler<E, R | Services<D>> => ({
  type: definition.type,
  handle: (recorded) =>
    Effect.flatMap(
      definition.decode(recorded.envelope) as Effect.Effect<
        ReadEvent<Payload<D>>,
        NewerThanThisBuild | UndecodableEvent,
        Services<D>
      >,
      (event) => handle(event, recorded)
    )
})

export interface Projection<out E = never, out R = never> {
  /** At most 80 characters. */
  readonly name: string
  readonly version: number
  readonly filter: LogFilter
  /** Runs in the transaction that moves the checkpoint: what it writes through the same client commits with it, or not at all. */
  readonly handle: (events: NonEmptyReadonlyArray<RecordedEvent>) => Effect.Effect<unknown, E, R>
  readonly reset: Effect.Effect<unknown, E, R> | undefined
  readonly onLive: Effect.Effect<unknown, E, R> | undefined
  readonly onFailure: "stop" | "park"
}

interface Common<E, R> {
  readonly name: string
  /** From 1 up. Raise it together with the tables that are written to, to build the new version beside the old one. 1 unless given. */
  readonly version?: number | undefined
  /** Empties the read model, in the transaction that moves the checkpoint back to the start. Without it there is no rebuild in place. */
  readonly reset?: Effect.Effect<unknown, E, R> | undefined
  /** Runs in the transaction in which this version becomes the live one: the place to point a view at its tables. */
  readonly onLive?: Effect.Effect<unknown, E, R> | undefined
  /**
   * What becomes of an event whose handling fails: the projection stops there (unless given), or the event is parked, with those of its
   * aggregate behind it, and the rest goes on. What is newer than this build is parked either way.
   */
  readonly onFailure?: "stop" | "park" | undefined
}

/**
 * Defines a projection: by `handlers` for single events, whose types are then all that is read, or by `handle` for a batch at a time,
 * with a `filter`.
 *
 * @example
 * Projection.make({
 *   name: "pipeline",
 *   handlers: [Projection.on(DealCreated, ({ data }) => sql`UPDATE pipeline SET deals = deals + 1 WHERE stage = 'new'`)],
 *   reset: sql`TRUNCATE pipeline`
 * })
 */
export const make: {
  <const H extends ReadonlyArray<Handler<unknown, unknown>>, E = never, R = never>(
    parts: Common<E, R> & { readonly handlers: H }
  ): Projection<E | ErrorOf<H[number]>, R | ServicesOf<H[number]>>
  <E, R>(
    parts: Common<E, R> & {
      readonly filter?: LogFilter | undefined
      readonly handle: (events: NonEmptyReadonlyArray<RecordedEvent>) => Effect.Effect<unknown, E, R>
    }
  ): Projection<E, R>
} = (
  parts: Common<unknown, unknown> & {
    readonly handlers?: ReadonlyArray<Handler<unknown, unknown>>
    readonly filter?: LogFilter | undefined
    readonly handle?: (events: NonEmptyReadonlyArray<RecordedEvent>) => Effect.Effect<unknown, unknown, unknown>
  }
  // oxlint-disable-next-line typescript/no-explicit-any -- the overloads say what goes in and comes out
): any => {
  const { handle, handlers = [], name, version = 1 } = parts
  if (name.length === 0 || name.length > 80) {
    throw new TypeError(`a projection's name has 1 to 80 characters: ${JSON.stringify(name)}`)
  }
  if (!Number.isInteger(version) || version < 1) {
    throw new TypeError(`the version of projection ${name} is ${version}, which is no whole number from 1 up`)
  }
  const byType = new Map(handlers.map((handler) => [handler.type, handler]))
  const twice = handlers.find(({ type }, index) => handlers.findIndex((other) => other.type === type) < index)
  if (twice !== undefined) throw new TypeError(`projection ${name} has two handlers of ${twice.type}`)
  return {
    name,
    version,
    filter: handle === undefined ? { types: [...byType.keys()] } : parts.filter ?? {},
    handle: handle ??
      ((events: ReadonlyArray<RecordedEvent>) =>
        Effect.forEach(events, (event) => byType.get(event.envelope.eventType)?.handle(event) ?? Effect.void, {
          discard: true
        })),
    reset: parts.reset,
    onLive: parts.onLive,
    onFailure: parts.onFailure ?? "stop"
  }
}

type ErrorOf<H> = H extends Handler<infer E, infer _R> ? E | NewerThanThisBuild | UndecodableEvent : never
type ServicesOf<H> = H extends Handler<infer _E, infer R> ? R : never

/** The name under which checkpoint, lease and parked events of this version are kept. */
export const subscriptionOf = ({ name, version }: { readonly name: string; readonly version: number }): string =>
  `projection ${name} v${version}`

/**
 * The projection cannot go on: at this event, or, where there is none, in its `reset` or `onLive`. What came before is committed; started
 * again, it tries the event again.
 */
export class ProjectionStopped extends Schema.TaggedError<ProjectionStopped>()("ProjectionStopped", {
  projection: Schema.String,
  version: Schema.Int,
  position: Schema.NullOr(Schema.BigInt),
  eventId: Schema.NullOr(Schema.String),
  reason: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    const where = this.eventId === null ? "" : ` at event ${this.eventId}, position ${this.position}`
    return `projection ${this.projection} version ${this.version} stopped${where}: ${this.reason}`
  }
}
