/** Where a page begins, as text that nobody needs to understand: the list that it belongs to, and the values that the rows are sorted by. */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { InvalidRequest } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"

const Parts = Schema.fromJsonString(Schema.Array(Schema.String))
const decodeParts = Schema.decodeUnknownEffect(Parts)

/** Of the list `list`, after the row with these values. */
export const toCursor = (list: string, values: ReadonlyArray<string>): string =>
  Buffer.from(JSON.stringify([list, ...values])).toString("base64url")

const refused = (after: string) =>
  new InvalidRequest({ field: "after", problem: `is ${JSON.stringify(after)}, which no page of this list has given` })

/** The values, each of which has to have its form; undefined where there is no cursor. Fails on what no page of the list has given. */
export const fromCursor = Effect.fnUntraced(function*(
  list: string,
  forms: ReadonlyArray<RegExp>,
  after: string | undefined
) {
  if (after === undefined) return undefined
  const [name, ...values] = yield* Effect.mapError(
    decodeParts(Buffer.from(after, "base64url").toString("utf8")),
    () => refused(after)
  )
  const fits = name === list && values.length === forms.length && forms.every((form, n) => form.test(values[n] ?? ""))
  return fits ? values : yield* refused(after)
})

/**
 * As `self`, which reads what is after the cursor: what Postgres cannot read as a value of the kind (a 13th month, a number of 65 bits) no page
 * has given either.
 */
export const refusingValues =
  (after: string | undefined) =>
  <A, E, R>(self: Effect.Effect<A, E | SqlError, R>): Effect.Effect<A, E | SqlError | InvalidRequest, R> =>
    Effect.catch(
      self,
      (error): Effect.Effect<never, E | SqlError | InvalidRequest> =>
        after !== undefined && isSqlError(error) && SqlErrors.isRefusedValue(error)
          ? Effect.fail(refused(after))
          : Effect.fail(error)
    )

/** Forms of the values: a number of 64 bits, a transaction id, a UUID, any text that Postgres takes, and a time as Postgres writes it. */
export const forms = {
  number: /^-?\d{1,19}$/,
  xid: /^\d{1,20}$/,
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  // oxlint-disable-next-line no-control-regex -- NUL is what Postgres refuses
  text: /^[^\u0000]*$/u,
  time: /^(-?infinity|\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d){0,2}( BC)?)$/
} as const

const mostOfPage = 500

/** How many a page has: 1 to 500, 50 unless given. */
export const pageLimit = (limit: number | undefined) => {
  if (limit === undefined) return Effect.succeed(50)
  return Number.isInteger(limit) && limit >= 1 && limit <= mostOfPage
    ? Effect.succeed(limit)
    : Effect.fail(
      new InvalidRequest({ field: "limit", problem: `is ${limit}: allowed is a whole number from 1 to ${mostOfPage}` })
    )
}
