/**
 * The due entries that have an ordering key: for each key its first open entry, and a run of those right behind it.
 *
 * Whoever takes the first has the key: nobody else takes any of its entries until that one is finished. What is met and may not be taken,
 * since the first of its key is held, waits or blocks, is set aside: so a key with a long backlog is met once, and never stands in the way
 * of the others.
 */
import type { Database } from "@zakops/migrations/Database"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, isDue, sizeColumn, takesTurns } from "./Selection.ts"

/** How many entries of a key are set aside at once. */
const mostSetAside = 1000

/**
 * Walks outbox_due_keyed, oldest due time first, and a few steps of outbox_key for each key. Keys share the limit evenly.
 *
 * An entry is set aside only while the first of its key is locked here: whoever finishes that one waits, and then lets forward what was
 * set aside (`letForward`). So nothing stays behind a first that is gone.
 */
export const dueRuns = (db: Database, { bytes, destination, limit, limited, time }: Taking): Selection => {
  const { sql, table } = db
  const due = sql.literal(dueTime)
  const turns = takesTurns(db, limited)
  const size = sizeColumn(db, bytes)
  return {
    limit,
    keyed: true,
    ctes: sql`
      due AS MATERIALIZED (
        SELECT id, ctid, ordering_key, seq, status = 'processing' AS expired, ${turns} AS turns, ${size} FROM ${table.outbox}
        WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NOT NULL AND ${isDue(db, time)}
          AND ${destinationOpen(db, destination)}
        ORDER BY ${due}, seq
        LIMIT ${limit}::int
        FOR UPDATE SKIP LOCKED
      ),
      firsts AS MATERIALIZED (
        SELECT key.ordering_key, first.id, due.ctid, due.size, coalesce(due.expired, false) AS expired,
          coalesce(due.turns, false) AS turns, due.id IS NOT NULL AS ours
        FROM (SELECT DISTINCT ordering_key FROM due) AS key
        CROSS JOIN LATERAL (
          SELECT o.id FROM ${table.outbox} o WHERE o.ordering_key = key.ordering_key AND (NOT o.finished OR o.blocks)
          ORDER BY o.seq LIMIT 1
        ) AS first
        LEFT JOIN due ON due.id = first.id
      ),
      -- Behind a first whose lease has run out stands nothing that may be taken now: its attempt has failed.
      runs AS MATERIALIZED (
        SELECT firsts.ordering_key, entry.id, entry.place FROM firsts
        CROSS JOIN LATERAL (
          SELECT listed.id, row_number() OVER (ORDER BY listed.seq) AS place FROM (
            SELECT o.id, o.seq FROM ${table.outbox} o WHERE o.ordering_key = firsts.ordering_key AND (NOT o.finished OR o.blocks)
            ORDER BY o.seq LIMIT greatest(1, ${limit}::int / nullif((SELECT count(*) FROM firsts WHERE ours), 0))
          ) AS listed
        ) AS entry
        WHERE firsts.ours AND NOT firsts.turns AND (entry.place = 1 OR NOT firsts.expired)
      ),
      free AS MATERIALIZED (
        SELECT id, ctid, ${size} FROM ${table.outbox}
        WHERE id = ANY (ARRAY(SELECT id FROM runs WHERE place > 1))
          AND NOT finished AND status IS DISTINCT FROM 'processing' AND waits_for IS DISTINCT FROM 'turn' AND ${
      isDue(db, time)
    }
          AND NOT ${turns}
        FOR UPDATE SKIP LOCKED
      ),
      -- A run ends where an entry is not free: what stands behind it may not overtake it.
      unbroken AS (
        SELECT *, bool_and(ctid IS NOT NULL) OVER (PARTITION BY ordering_key ORDER BY place) AS unbroken FROM (
          SELECT runs.ordering_key, runs.place, coalesce(free.ctid, firsts.ctid) AS ctid, coalesce(free.size, firsts.size) AS size
          FROM runs LEFT JOIN free USING (id) LEFT JOIN firsts ON firsts.id = runs.id
        ) AS placed
      ),
      taken AS MATERIALIZED (
        SELECT ctid FROM (
          SELECT ctid, row_number() OVER by_place AS number, sum(size) OVER by_place - size AS before FROM unbroken WHERE unbroken
          WINDOW by_place AS (ORDER BY place, ordering_key ROWS UNBOUNDED PRECEDING)
        ) AS numbered
        WHERE number <= ${limit}::int AND (${bytes}::float8 IS NULL OR before < ${bytes}::float8)
      ),
      held AS MATERIALIZED (
        SELECT ordering_key FROM ${table.outbox}
        WHERE id = ANY (ARRAY(SELECT id FROM firsts WHERE NOT ours)) AND (NOT finished OR blocks)
        FOR NO KEY UPDATE SKIP LOCKED
      ),
      behind AS MATERIALIZED (
        SELECT ctid FROM ${table.outbox}
        WHERE id = ANY (ARRAY(
            SELECT entry.id FROM held CROSS JOIN LATERAL (
              SELECT o.id FROM ${table.outbox} o
              WHERE o.ordering_key = held.ordering_key AND (NOT o.finished OR o.blocks)
                AND o.seq >= (SELECT min(seq) FROM due WHERE due.ordering_key = held.ordering_key)
              ORDER BY o.seq LIMIT ${mostSetAside}::int
            ) AS entry
          ))
          AND NOT finished AND waits_for IS NULL
          AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < ${time})
        FOR UPDATE SKIP LOCKED
      ),
      -- An entry is in one of the two only: a first stands behind nothing.
      in_line AS (
        UPDATE ${table.outbox} SET waits_for = 'turn' WHERE ctid = ANY (ARRAY(SELECT ctid FROM firsts WHERE ours AND turns)) RETURNING 1
      ),
      set_aside AS (
        UPDATE ${table.outbox} SET waits_for = 'key' WHERE ctid = ANY (ARRAY(SELECT ctid FROM behind)) RETURNING 1
      ),
      moved AS (SELECT * FROM in_line UNION ALL SELECT * FROM set_aside)`
  }
}
