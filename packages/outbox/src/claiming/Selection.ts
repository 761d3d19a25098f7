/**
 * What is to be taken next, as the beginning of a statement: the condition and the order that claiming and delivering share.
 *
 * A selection is a list of CTEs, to stand behind WITH. It locks what it takes for the transaction that is open and leaves out what others
 * have locked. Entries that it meets and that may not be taken now, for their key or their type, it sets aside, so that they are not met
 * again.
 */
import type { Database } from "@zakops/migrations/Database"
import type { Fragment } from "effect/sql/Statement"

/**
 * `ctes` defines `due`, the entries that it met; `taken (ctid)`, those that are to be taken, which are locked; and `moved`, those that it
 * has set aside.
 */
export interface Selection {
  readonly ctes: Fragment
  /** Where the last one that it met stands, as `Mark`: an array of two texts. */
  readonly mark: Fragment
  /** How many it meets at most. */
  readonly limit: number
  /** Whether any of them may have an ordering key. */
  readonly keyed: boolean
}

/** The place of an entry among those that fall due: its due time and its seq, as Postgres writes them. */
export type Mark = readonly [since: string, seq: string]

/** Nothing stands in front of it: any program may write to the table, with any number. */
export const beginning: Mark = ["-infinity", "-9223372036854775808"]

/** Of a selection that every look goes through from its beginning. */
export const noMark = ({ sql }: Database): Fragment => sql.literal("NULL::text[]")

/** What every selection has to know. */
export interface Taking {
  readonly time: Fragment
  /** Entries taken at most. */
  readonly limit: number
  /** Entries met at most: more than are taken, where most of those in front may not be. */
  readonly meet: number
  /** Entries taken of one key at most. */
  readonly run: number
  /** Entries of one key that are taken before the first of the next. */
  readonly depth: number
  /** Only what stands there or behind it among the due is looked at, where the selection has one order. */
  readonly after: Mark
  /** Bytes of data at most, though at least one entry; null for any number. */
  readonly bytes: number | null
  /** The publisher's name, by which it is paused. */
  readonly destination: string
  /** The route whose entries are taken; null for those of the main destination. */
  readonly route: string | null
  /** Types that have a limit of their own. */
  readonly limited: ReadonlyArray<string>
  /** Leave out what has made two processes crash: that is delivered alone. Nothing does where the database itself delivers. */
  readonly suspectsApart: boolean
}

/** When an entry may be attempted; a producer in plain SQL may leave it NULL, which means: as soon as possible. */
export const dueTime = "coalesce(next_attempt_at, '-infinity'::timestamptz)"

/** True of the entries that go to one destination; spelled so that the partial indexes of either kind serve it. */
export const goingTo = ({ sql }: Database, route: string | null): Fragment =>
  route === null ? sql.literal("destination IS NULL") : sql`destination = ${route}`

/**
 * Due is what is pending, and what is processing under a lease that has run out (or under none: an older system's); not what is past its
 * deadline.
 */
export const isDue = ({ sql }: Database, { suspectsApart, time }: Pick<Taking, "suspectsApart" | "time">): Fragment =>
  sql`${sql.literal(dueTime)} <= ${time}
    AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < ${time})
    AND (expires_at IS NULL OR expires_at > ${time}) ${sql.literal(suspectsApart ? "AND crashes < 2" : "")}`

/** True unless the destination is paused. Asked once for each statement. */
export const destinationOpen = ({ sql, table }: Database, destination: string): Fragment =>
  sql`NOT EXISTS (SELECT FROM ${table.flow} WHERE kind = 'destination' AND name = ${destination} AND paused_at IS NOT NULL)`

/** True of an entry whose type is paused. */
export const typePaused = ({ sql, table }: Database): Fragment =>
  sql`coalesce(event_type, '') IN (SELECT name FROM ${table.flow} WHERE kind = 'type' AND paused_at IS NOT NULL)`

/** True of an entry whose type is paused or limited: it takes its turn in a line of its own. */
export const takesTurns = (db: Database, limited: ReadonlyArray<string>): Fragment =>
  limited.length === 0
    ? typePaused(db)
    : db.sql`(coalesce(event_type, '') = ANY (${limited}::text[]) OR ${typePaused(db)})`

/** The bytes of an entry's data as JSON, near enough: what Postgres has not compressed counts as it is stored. */
export const dataBytes =
  "CASE WHEN pg_column_compression(event_data) IS NULL THEN coalesce(pg_column_size(event_data), 0) " +
  "ELSE octet_length(event_data::text) END"

/** The size as a column, where anybody asks for it. */
export const sizeColumn = ({ sql }: Database, bytes: number | null): Fragment =>
  sql.literal(bytes === null ? "0 AS size" : `${dataBytes} AS size`)

/**
 * Of a relation with the columns ctid and size: the ctids of its first rows, up to the limit and to so many bytes, though at least one.
 */
export const within = (
  { sql }: Database,
  rows: Fragment,
  { bytes, limit }: Pick<Taking, "bytes" | "limit">
): Fragment =>
  bytes === null
    ? sql`SELECT ctid FROM ${rows} LIMIT ${limit}::int`
    : sql`SELECT ctid FROM (SELECT ctid, sum(size) OVER (ROWS UNBOUNDED PRECEDING) - size AS before FROM ${rows}) AS sized
      WHERE before < ${bytes}::float8 LIMIT ${limit}::int`
