/**
 * The values that the API's requests and answers are made of.
 *
 * 64-bit numbers are decimal text in JSON and `bigint` in a program; times are ISO 8601 in UTC, to the millisecond; event data is JSON as
 * text, as the database holds it, since a parser would round its large numbers.
 */
import * as Schema from "effect/Schema"

/** A UUID in its usual form. */
export const Id = Schema.String.check(Schema.isPattern(
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i,
  { message: "is no UUID" }
))

/** A number of 64 bits: text in JSON, so that no parser rounds it. */
export const Big = Schema.BigInt

export const Time = Schema.Date

/** What stands in the place of a text that is masked. */
export const masked = "[masked]"

/** JSON as text: numbers in it are to the last digit what the database holds. */
export const JsonText = Schema.String

/**
 * How many there are. `exact`; `atLeast`, where counting has stopped at its limit; or `estimated`, from the statistics of the database, where
 * counting would have been too dear.
 */
export const Count = Schema.Struct({
  value: Schema.Int,
  kind: Schema.Literals(["exact", "atLeast", "estimated"])
})
export type Count = typeof Count.Type

const cannotStore = "contains a NUL character or half of a surrogate pair"

/** Text that Postgres can hold, up to `most` characters. */
export const Text = (most: number) =>
  Schema.String.check(
    Schema.makeFilter((text: string) =>
      text.length > most
        ? `is longer than ${most} characters`
        : text.includes("\u0000") || !text.isWellFormed()
        ? cannotStore
        : undefined
    )
  )

/** How long ago, as the command line writes it: 90s, 15m, 2h, 7d. */
export const Age = Schema.String.check(Schema.isPattern(/^\d{1,9}[smhd]$/, {
  message: "is no age: give it as a number and s, m, h or d, like 15m"
}))

/** Entries of one page: 1 to 500; 50 unless given. */
export const Limit = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 500 }, {
  message: "has to be a whole number from 1 to 500"
}))

/** What a list takes: how many, and `next` of the page before. */
export const paging = {
  limit: Schema.optional(Limit),
  after: Schema.optional(Text(500))
}

/** A page of a list. `next` is where the page after it begins, to be given as `after`; null on the last one. */
export const pageOf = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), next: Schema.NullOr(Schema.String) })
