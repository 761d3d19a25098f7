/** What a handler fails with to be tried again after a time that it knows better than the consumer's schedule. */
import * as Schema from "effect/Schema"

/**
 * The event is to be handled again after `duration`, instead of the wait that the schedule has next. Whether there is another try at all
 * stays with the schedule. The events behind it wait as well.
 *
 * @example
 * Effect.catchTag(charge(order), "RateLimited", ({ resetsIn }) =>
 *   new RetryAfter({ duration: resetsIn, reason: "the bank takes no more at the moment" }))
 */
export class RetryAfter extends Schema.TaggedError<RetryAfter>()("RetryAfter", {
  duration: Schema.Duration,
  reason: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {
  override get message() {
    return this.reason
  }
}
