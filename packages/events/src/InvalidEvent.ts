/**
 * An event that cannot be written, refused before any statement reached the database.
 *
 * It names the field and what is wrong with it, so that a caller can answer with it. The transaction stays usable.
 */
import * as Schema from "effect/Schema"

/**
 * @property eventType the type of the refused event, as far as it is known
 * @property field     where the fault is, as a path: `correlationId`, `data.items[2].price`
 * @property problem   what is wrong with it, in words that follow the field
 */
export class InvalidEvent extends Schema.TaggedError<InvalidEvent>()("InvalidEvent", {
  eventType: Schema.String,
  field: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `event ${JSON.stringify(this.eventType.slice(0, 120))} refused: ${this.field} ${this.problem}`
  }
}
