/**
 * A projection that is written in the append's own transaction: never behind, and paid for by every append.
 *
 * It sees what `EventStore` appends, and nothing of what is only emitted. What it fails with fails the append.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import { isPassing, isTimeout, requireUsable, textOf } from "./handlerFailure.ts"
import type { RecordedEvent } from "./RecordedEvent.ts"
import type { StreamId, TransactionTooOld } from "./StreamId.ts"
import { toText } from "./StreamId.ts"

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
    return `the inline projection ${this.projection} failed on an append to ${this.stream}: ${textOf(this.cause)}`
  }
}

/**
 * Runs the projections one after another, with the services given besides those of the caller. What a new transaction gets over, and the
 * database's own trouble, come through as they are: whoever opened the transaction begins it anew.
 */
export const runInline = <R>(
  db: Database,
  projections: ReadonlyArray<InlineProjection<R>>,
  services: Context.Context<R>
) => {
  const usable = requireUsable(db)
  return (
    stream: StreamId,
    events: NonEmptyReadonlyArray<RecordedEvent>
  ): Effect.Effect<void, InlineProjectionFailed | SqlError | TransactionTooOld> =>
    Effect.forEach(projections, ({ handle, name }) =>
      Effect.andThen(handle(events), usable).pipe(
        Effect.updateContext((context: Context.Context<never>) =>
          Context.merge(services, context) as Context.Context<R>
        ),
        // An interruption of this very fiber does not come by here; one that the handler has met with elsewhere is its failure.
        Effect.catchCause((cause): Effect.Effect<never, InlineProjectionFailed | SqlError | TransactionTooOld> => {
          const error = Cause.squash(cause)
          if (isPassing(error) || (SqlErrors.isTrouble(error) && !isTimeout(error))) return Effect.fail(error)
          return Effect.fail(
            new InlineProjectionFailed({ projection: name, stream: toText(stream), cause: error })
          )
        })
      ), { discard: true })
}
