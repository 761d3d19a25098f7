/** What may become of bad input: it is delivered, or somebody is told by name what is wrong with it. Nothing else. */

export type Expectation =
  /** It arrives, as any other event. */
  | { readonly _tag: "Delivered" }
  /** `InvalidEvent` with this field; the transaction goes on. */
  | { readonly _tag: "Refused"; readonly field: string }
  /** Postgres refuses the statement with this SQLSTATE, and says why. */
  | { readonly _tag: "RefusedByPostgres"; readonly state: string; readonly says: RegExp }
  /** A dead letter, with these words in error_message. */
  | { readonly _tag: "Dead"; readonly says: RegExp }
  /** Stays in the outbox, because that is what the row asks for. */
  | { readonly _tag: "Rests" }

export const delivered: Expectation = { _tag: "Delivered" }
export const refused = (field: string): Expectation => ({ _tag: "Refused", field })
export const byPostgres = (state: string, says: RegExp): Expectation => ({ _tag: "RefusedByPostgres", state, says })
export const dead = (says: RegExp): Expectation => ({ _tag: "Dead", says })
export const rests: Expectation = { _tag: "Rests" }
