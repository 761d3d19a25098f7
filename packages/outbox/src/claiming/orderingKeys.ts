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
import { keepText } from "../connecting/keptText.ts"

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

/** As `lockedKeys`, of one key. */
export const lockedKey = ({ schema, sql }: Database, key: unknown): Fragment =>
  sql`(SELECT pg_advisory_xact_lock(hashtext(${`${schema}.outbox`}), hashtext(${key}::text) & 4095))`

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

/** An entry that is out of its key's way. Without `seq` it may have been anywhere in it. */
export interface Gone {
  readonly key: string
  readonly seq?: number | undefined
}

/** The entries that have a key, as gone. */
export const goneOf = (
  entries: ReadonlyArray<{ readonly orderingKey: string | null; readonly seq: number }>
): ReadonlyArray<Gone> =>
  entries.flatMap(({ orderingKey, seq }) => orderingKey === null ? [] : [{ key: orderingKey, seq: exact(seq) }])

// A number that has lost digits would be in front of the entry, or behind it.
const exact = (seq: number) => Number.isSafeInteger(seq) ? seq : undefined

/**
 * Lets the first open entry of each key forward, where it was set aside. To be run after entries have been finished, or have stopped to
 * block, in the same transaction but as a statement of its own, so that it sees what others have committed meanwhile. Walks one step of
 * outbox_key for each key.
 *
 * The first is locked, whatever it waits for: somebody may be about to finish it as well, and would not know that what is behind it is his
 * to let forward. If it turns out finished, the one behind it is looked at. Who has only finished entries behind the first leaves the key
 * to whoever finishes that one, and so two of them never wait for each other.
 */
export const letForward = (db: Database) => {
  const { sql, table } = db
  const kept = keepText(db)
  return Effect.fnUntraced(function*(gone: Iterable<Gone>) {
    let after = new Map<string, number | undefined>()
    for (const { key, seq } of gone) {
      const other = after.has(key) ? after.get(key) : seq
      after.set(key, seq === undefined || other === undefined ? undefined : Math.min(seq, other))
    }
    while (after.size > 0) {
      const keys = [...after].map(([key, seq]) => ({ key, seq }))
      const finished = yield* kept.rows(sql<{ key: string; seq: number }>`
        WITH firsts AS MATERIALIZED (
          SELECT first.id FROM jsonb_to_recordset(${JSON.stringify(keys)}::jsonb) AS gone (key text, seq bigint)
          CROSS JOIN LATERAL (
            SELECT o.id, o.seq FROM ${table.outbox} o WHERE o.ordering_key = gone.key AND (NOT o.finished OR o.blocks)
            ORDER BY o.seq LIMIT 1
          ) AS first
          WHERE gone.seq IS NULL OR first.seq >= gone.seq
        ),
        locked AS MATERIALIZED (
          SELECT id, ordering_key, seq, waits_for, NOT finished OR blocks AS open FROM ${table.outbox}
          WHERE id = ANY (ARRAY(SELECT id FROM firsts)) ORDER BY id FOR NO KEY UPDATE
        ),
        forward AS (
          UPDATE ${table.outbox} SET waits_for = NULL WHERE id = ANY (ARRAY(SELECT id FROM locked WHERE open AND waits_for = 'key'))
        )
        SELECT ordering_key AS key, seq::float8 AS seq FROM locked WHERE NOT open`)
      after = new Map(finished.map(({ key, seq }) => [key, exact(seq)]))
    }
  })
}
