/**
 * Values that a column can hold and the product cannot count with, as SQL that leaves them out: any program may write to the table, and one
 * row must not fail the statement that works on many.
 */
import type { Database } from "@zakops/migrations/Database"
import type { Fragment } from "effect/sql/Statement"

/** The attempts of an entry `o` and one more, which an integer can hold; NULL counts as none. */
export const oneMoreAttempt = "least(coalesce(o.attempts, 0), 2147483646) + 1"

/**
 * The waits of an entry `o` as a text: Postgres lets an array have any bounds and dimensions, and the driver loses the connection's answer
 * over one that it cannot read. (A list would have to be made by a subquery, which each claim sets up.)
 */
export const retryWaits = "array_to_string(o.retry_waits, ',', 'null')"

/** What `retryWaits` says: what is no number is NaN. */
export const toNumbers = (waits: string | null): ReadonlyArray<number> | null =>
  waits === null || waits === "" ? null : waits.split(",").map(Number)

/** When an entry `o` was written: `time` where that is NULL, infinite, or later than a Date of JavaScript can be. */
export const createdAt = ({ sql }: Database, time: Fragment): Fragment =>
  sql`CASE WHEN o.created_at > '-infinity' AND o.created_at < '275760-01-01' THEN o.created_at ELSE ${time} END`

// The driver refuses messages over 16 MiB, and would lose the connection with the whole batch. The stored size is cheap to look at, and
// compression cannot hide 12 MiB behind 32 kB (pglz reaches about 1:270).
const isOversize = (of: string) =>
  `coalesce(pg_column_size(${of}.event_data) > 32768 AND octet_length(${of}.event_data::text) > 12582912, false)`

/**
 * The columns `event_data` and `oversize` of the relation `of`: NULL and true where the data is larger than 12 MiB, more than the client
 * receives.
 */
export const eventData = (of: "o" | "log") =>
  `CASE WHEN ${isOversize(of)} THEN NULL ELSE ${of}.event_data END AS event_data, ${isOversize(of)} AS oversize`
