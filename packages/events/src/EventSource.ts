/**
 * The port through which consumers receive events: a broker's queue, or the event log.
 *
 * At least once: a source marks events as taken only after `handle` has succeeded for them, so after a crash they come again. Put
 * `InboxGuard` behind it (`Consumer` does) where effects must happen once.
 */
import type * as Effect from "effect/Effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Schema from "effect/Schema"
import type { EventEnvelope } from "./EventEnvelope.ts"

/** The source cannot be read, or an event in it cannot be. Nothing was marked as taken. */
export class SourceFailed extends Schema.TaggedError<SourceFailed>()("SourceFailed", {
  source: Schema.String,
  reason: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {
  override get message() {
    return `reading from ${this.source} failed: ${this.reason}`
  }
}

/**
 * What a handler fails with to have one event set aside instead of stopping the source. All events before it in the batch must have been
 * handled; the rest of the batch comes again without it.
 */
export class SetAside extends Schema.TaggedError<SetAside>()("SetAside", {
  eventId: Schema.String,
  /** `newer`: a later build will know it, and it comes again by itself. `failed`: it comes again when somebody asks for it. */
  reason: Schema.Literals(["newer", "failed"]),
  error: Schema.String
}) {
  override get message() {
    return `event ${this.eventId} is set aside: ${this.error}`
  }
}

export interface EventSource {
  /** What the source is called in logs and errors. */
  readonly name: string
  /** What telemetry calls the system behind it, as the conventions of OpenTelemetry do: `kafka`, `rabbitmq`. `zakops` unless given. */
  readonly system?: string | undefined
  /**
   * Calls `handle` with one batch after another, in the source's order, until interrupted. Marks a batch as taken when `handle` has
   * succeeded, and fails with what `handle` fails with. An event that is set aside is kept, with those of its aggregate behind it, so
   * that no aggregate's events change places; they are handed out later on.
   */
  readonly consume: <E, R>(
    handle: (batch: NonEmptyReadonlyArray<EventEnvelope>) => Effect.Effect<void, E | SetAside, R>
  ) => Effect.Effect<never, E | SourceFailed, R>
}
