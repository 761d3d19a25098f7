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

export interface EventSource {
  /** What the source is called in logs and errors. */
  readonly name: string
  /**
   * Calls `handle` with one batch after another, in the source's order, until interrupted. Marks a batch as taken when `handle` has
   * succeeded, and fails with what `handle` fails with.
   */
  readonly consume: <E, R>(
    handle: (batch: NonEmptyReadonlyArray<EventEnvelope>) => Effect.Effect<void, E, R>
  ) => Effect.Effect<never, E | SourceFailed, R>
}
