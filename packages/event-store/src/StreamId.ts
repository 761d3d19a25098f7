/** Which aggregate's events: the stream of versions that `EventStore` appends to and reads. */
import * as Schema from "effect/Schema"

export interface StreamId {
  /** At most 50 characters. */
  readonly aggregateType: string
  /** At most 100 characters. */
  readonly aggregateId: string
}

/** `deal/42`, for messages only: other parts may give the same text. */
export const toText = ({ aggregateId, aggregateType }: StreamId): string => `${aggregateType}/${aggregateId}`

/** For maps: no two streams have the same. */
export const toKey = ({ aggregateId, aggregateType }: StreamId): string => JSON.stringify([aggregateType, aggregateId])

/**
 * What a stream has to look like for an append to be taken: exactly this version (0 for an empty stream), `"any"`, `"noStream"`, or
 * `"streamExists"`.
 */
export type ExpectedVersion = number | "any" | "noStream" | "streamExists"

/**
 * What is wrong with an expectation, if anything: words that follow its name. Postgres would take -1 or NaN for something else, and a program
 * in JavaScript may give anything.
 */
export const problemOfExpected = (expected: ExpectedVersion): string | undefined => {
  switch (expected) {
    case "any":
    case "noStream":
    case "streamExists":
      return undefined
    default:
      return Number.isSafeInteger(expected) && expected >= 0
        ? undefined
        : `is ${String(expected)}, and a version is a whole number from 0 up`
  }
}

/** Somebody else has appended in between, or the stream is (not) there. Nothing was written, and the transaction is usable. */
export class WrongExpectedVersion extends Schema.TaggedError<WrongExpectedVersion>()("WrongExpectedVersion", {
  stream: Schema.String,
  expected: Schema.Union([Schema.Int, Schema.String]),
  /** 0 where there is no such stream. */
  actual: Schema.Int
}) {
  override get message() {
    return `stream ${this.stream}: expected ${
      typeof this.expected === "number" ? `version ${this.expected}` : this.expected
    }, found ${this.actual === 0 ? "no stream" : `version ${this.actual}`}`
  }
}

/**
 * The stream's last event was written by a transaction that began to write after this one did. Readers go by transaction id, and would
 * see this event before that one. Nothing was written; only a new transaction can append: `EventStore.transact` starts it.
 */
export class TransactionTooOld extends Schema.TaggedError<TransactionTooOld>()("TransactionTooOld", {
  stream: Schema.String
}) {
  override get message() {
    return `stream ${this.stream} was appended to by a younger transaction: this one has to be run again from its beginning`
  }
}
