/**
 * The order of the events of a key: what is written under its lock, and which of its entries may be taken.
 *
 * The open entries of a key, its first and those behind it, are those that are not finished, and dead ones that block it. Only the first
 * is ever taken, or a run that begins with it. Those behind it are set aside (`waits_for = 'key'`) as they are met, so that they cost the
 * claims nothing, and the next is let forward when the first is out of the way. The first itself is never set aside.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { Fragment } from "effect/sql/Statement"

/**
 * A relation of one row, to be joined to `entries` in the FROM of the statement that inserts them: it locks their keys before the first
 * row is numbered by seq, until the end of the transaction.
 *
 * The keys share 4,096 locks: a lock for each could fill the server's table of them (6,400 by default), and two keys that happen to
 * share one only wait for each other. Taken in one order, so that two statements cannot deadlock.
 */
export const lockedKeys = ({ schema, sql }: Database, keys: ReadonlyArray<string>): Fragment =>
  sql`(SELECT count(*) FROM (
    SELECT pg_advisory_xact_lock(hashtext(${`${schema}.outbox`}), lock) FROM (
      SELECT DISTINCT hashtext(key) & 4095 AS lock FROM unnest(${keys}::text[]) AS key ORDER BY lock
    ) AS locks
  ) AS taken) AS locked`

/**
 * Locks the keys in a statement of its own, until the end of the transaction: for what is written in several, whose locks would otherwise
 * be taken statement by statement, and so in no order.
 */
export const lockKeys = (db: Database) =>
  Effect.fnUntraced(function*(keys: ReadonlyArray<string>) {
    if (keys.length > 0) yield* db.sql`SELECT count FROM ${lockedKeys(db, keys)}`
  })

/** The keys of the entries that have one. */
export const keysOf = (entries: ReadonlyArray<{ readonly orderingKey: string | null }>): ReadonlyArray<string> =>
  entries.flatMap(({ orderingKey }) => orderingKey === null ? [] : [orderingKey])

/**
 * Lets the first open entry of each key forward, where it was set aside. To be run after entries have been finished, or have stopped to
 * block, in the same transaction but as a statement of its own: who sets entries aside holds the first one locked meanwhile, and so
 * this statement sees what was set aside before. Walks one step of outbox_key for each key.
 */
export const letForward = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*(keys: Iterable<string>) {
    const distinct = [...new Set(keys)]
    if (distinct.length === 0) return
    yield* sql`
      UPDATE ${table.outbox} SET waits_for = NULL WHERE id = ANY (ARRAY(
        SELECT first.id FROM unnest(${distinct}::text[]) AS key (ordering_key) CROSS JOIN LATERAL (
          SELECT id, waits_for FROM ${table.outbox} o
          WHERE o.ordering_key = key.ordering_key AND (NOT o.finished OR o.blocks) ORDER BY o.seq LIMIT 1
        ) AS first
        WHERE first.waits_for = 'key'))`
  })
