/** How an attempt ended that did not deliver, in the words of zakops.outbox_attempts. */
import * as Schema from "effect/Schema"

/**
 * - `failed`: the destination refused the event, or the publisher died
 * - `timed_out`: no answer within `OUTBOX_PUBLISH_TIMEOUT`
 * - `lease_expired`: the worker that made it was gone, or had lost the database
 * - `handed_back`: interrupted, or the destination was down, or its worker was gone and held it behind another one of its key; not charged
 * - `parked`: the event is newer than the build; not charged
 * - `fenced`: ended, but somebody else had the entry by then
 * - `deadline_passed`: not made at all, as `expires_at` came first
 */
export const Outcome = Schema.Literals([
  "failed",
  "timed_out",
  "lease_expired",
  "handed_back",
  "parked",
  "fenced",
  "deadline_passed"
])
export type Outcome = typeof Outcome.Type
