/**
 * A place in the event log: after the event of this transaction and position. Text outside, for it is to be kept and compared, not looked
 * into.
 *
 * Positions alone would not do: they are drawn before commit, and a reader behind the highest of them skips what commits late.
 */
import * as Schema from "effect/Schema"

/** `xid` is a transaction id as decimal text: it has 64 bits, and sql-pg cannot decode the type. */
export interface Cursor {
  readonly xid: string
  readonly position: bigint
}

/** Before the first event. */
export const start: Cursor = { xid: "0", position: 0n }

/** `712:48`, as `fromText` takes it. */
export const toText = ({ position, xid }: Cursor): string => `${xid}:${position}`

export class InvalidCursor extends Schema.TaggedError<InvalidCursor>()("InvalidCursor", { text: Schema.String }) {
  override get message() {
    return `${JSON.stringify(this.text)} is no place in the event log: such a text looks like 712:48`
  }
}

/** Throws `InvalidCursor`. */
export const fromTextUnsafe = (text: string): Cursor => {
  const [, xid, position] = /^(\d{1,20}):(\d{1,19})$/.exec(text) ?? []
  if (xid === undefined || position === undefined) throw new InvalidCursor({ text })
  return { xid, position: BigInt(position) }
}

/** A cursor that was kept from before the log was moved to another server: what stands there by now is somewhere else. */
export class CursorOfAnotherServer extends Schema.TaggedError<CursorOfAnotherServer>()("CursorOfAnotherServer", {
  cursor: Schema.String
}) {
  override get message() {
    return `the cursor ${this.cursor} names a transaction that this database server has not reached: it was kept before the log was ` +
      `moved here. Begin at the start, or at a cursor that was read since "zakops repair-log"`
  }
}
