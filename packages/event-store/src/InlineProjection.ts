/**
 * A projection that is written in the append's own transaction: never behind, and paid for by every append.
 *
 * It sees what `EventStore` appends, and nothing of what is only emitted. What it fails with fails the append.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { RecordedEvent } from "./RecordedEvent.ts"

export interface InlineProjection<in out R = never> {
  readonly name: string
  /** Runs after the events were written, before the commit, for each append; the events are of one stream. */
  readonly handle: (events: NonEmptyReadonlyArray<RecordedEvent>) => Effect.Effect<unknown, unknown, R>
}

/** An inline projection has refused the events: the append is to be rolled back. */
export class InlineProjectionFailed extends Schema.TaggedError<InlineProjectionFailed>()("InlineProjectionFailed", {
  projection: Schema.String,
  stream: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the inline projection ${this.projection} failed on an append to ${this.stream}: ${cause}`
  }
}
