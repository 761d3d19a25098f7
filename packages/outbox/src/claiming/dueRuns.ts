/**
 * The due entries that have an ordering key: for each key its first open entry, and a run of those right behind it.
 *
 * Whoever takes the first has the key: nobody else takes any of its entries until that one is finished. What is met and may not be taken,
 * since the first of its key is held, waits or blocks, or there is more of it than its share, is set aside: so a key with a long backlog
 * is met once, and never stands in the way of the others.
 */
import type { Database } from "@zakops/migrations/Database"
import type { Selection, Taking } from "./Selection.ts"
import { destinationOpen, dueTime, goingTo, isDue, noMark, sizeColumn, takesTurns } from "./Selection.ts"

/** What the history says of an entry that went back with the one in front of it. */
export const goneBehind = "its worker was gone, and held it behind another one of its key"
/** How many entries are set aside in one statement: of one key, and of all. Ten thousand take half a second, and the lease runs. */
const mostOfKey = 1000
const mostSetAside = 2000
/**
 * Milliseconds for which a first that is being delivered is not worth setting aside what is behind it: that costs as much as delivering it
 * (with 100 keys and a destination that answers at once, half the rate).
 */
const soon = 100

/**
 * Walks outbox_due_keyed (outbox_routed_due_keyed for a route), oldest due time first, and a few steps of outbox_key for each key. A key gets what was met of it, or an even
 * share where there is room for more.
 *
 * An entry is set aside only while the first of its key is locked here: whoever finishes that one waits, and then lets forward what was
 * set aside (`letForward`). So nothing stays behind a first that is gone. And it is taken only as this statement has seen it (`seen`):
 * what has changed between its snapshot and its lock would be missing from a run, and what stands behind it would overtake it.
 *
 * The joins are FULL ones, with conditions from which the planner cannot tell that less is wanted: it makes no nested loops of those. It
 * does not know how much is due, and after a quiet time believes that nothing is (4,000 entries of as many keys, by a worker that had been
 * idle: 1.6 seconds for a claim, and a tenth of that so).
 */
export const dueRuns = (db: Database, taking: Taking): Selection => {
  const { sql, table } = db
  const { bytes, depth, destination, limit, limited, meet, route, run, time } = taking
  const turns = takesTurns(db, limited)
  const size = sizeColumn(db, bytes)
  return {
    limit: meet,
    keyed: true,
    mark: noMark(db),
    ctes: sql`
      due AS MATERIALIZED (
        SELECT id, ctid, ordering_key, seq, claim_id, coalesce(status = 'processing', false) AS expired, ${turns} AS turns,
          ${sql.literal(dueTime)} AS since, ${size}
        FROM ${table.outbox}
        WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NOT NULL AND ${goingTo(db, route)} AND ${
      isDue(db, taking)
    }
          AND ${destinationOpen(db, destination)}
        ORDER BY ${sql.literal(dueTime)}, seq
        LIMIT ${meet}::int
        FOR UPDATE SKIP LOCKED
      ),
      heads AS MATERIALIZED (
        SELECT key.ordering_key, key.met, key.since, first.id, first.seq, first.seen
        FROM (SELECT ordering_key, count(*) AS met, min(since) AS since FROM due GROUP BY ordering_key) AS key
        CROSS JOIN LATERAL (
          SELECT o.id, o.seq, o.ctid AS seen FROM ${table.outbox} o
          WHERE o.ordering_key = key.ordering_key AND (NOT o.finished OR o.blocks)
          ORDER BY o.seq LIMIT 1
        ) AS first
      ),
      firsts AS MATERIALIZED (
        SELECT heads.*, due.ctid, due.size, due.claim_id, coalesce(due.expired, false) AS expired, coalesce(due.turns, false) AS turns,
          due.id IS NOT NULL AS ours
        FROM heads FULL JOIN due ON due.id = heads.id
        WHERE coalesce(heads.met, 0) > 0
      ),
      -- Behind a first whose lease has run out stands nothing that may be taken now: its attempt has failed.
      runs AS MATERIALIZED (
        SELECT firsts.ordering_key, firsts.since, firsts.seq AS first, entry.id, entry.seen, entry.place
        FROM (SELECT * FROM firsts ORDER BY since, seq) AS firsts
        CROSS JOIN LATERAL (
          SELECT listed.id, listed.seen, row_number() OVER (ORDER BY listed.seq) AS place FROM (
            SELECT o.id, o.seq, o.ctid AS seen FROM ${table.outbox} o
            WHERE o.ordering_key = firsts.ordering_key AND (NOT o.finished OR o.blocks)
            ORDER BY o.seq
            LIMIT least(${run}::int, greatest(firsts.met, ${depth}::int, ${limit}::int / nullif((SELECT count(*) FROM firsts WHERE ours), 0)))
          ) AS listed
        ) AS entry
        WHERE firsts.ours AND NOT firsts.turns AND (entry.place = 1 OR NOT firsts.expired)
        -- Each key's share is at most what was met of it or an even one: all of these together are no more, and what goes deeper ends here.
        -- Where no share goes deeper than the depth they come in the order that they are chosen in.
        LIMIT ${limit}::int * CASE WHEN (SELECT greatest(max(met), ${limit}::int / nullif(count(*), 0)) FROM firsts WHERE ours) <= ${depth}::int
          THEN 1 ELSE 2 END
      ),
      -- Those whose turn it would be, before they are locked, and then by ctid: the rest stays for others (1,000 keys: 63 microseconds of
      -- Postgres for an event, against 68 where all of them were locked, and found by id).
      chosen AS MATERIALIZED (
        SELECT * FROM (
          SELECT *, row_number() OVER (ORDER BY (place - 1) / ${depth}::int, since, first, place) AS number FROM runs
        ) AS numbered WHERE number <= ${limit}::int
      ),
      free AS MATERIALIZED (
        SELECT ctid, ${size} FROM ${table.outbox}
        WHERE ctid = ANY (ARRAY(SELECT seen FROM chosen WHERE place > 1 AND seen NOT IN (SELECT ctid FROM due)))
          AND NOT finished AND status IS DISTINCT FROM 'processing' AND waits_for IS DISTINCT FROM 'turn' AND ${
      isDue(db, taking)
    }
          AND NOT ${turns}
        FOR UPDATE SKIP LOCKED
      ),
      locked AS MATERIALIZED (
        SELECT ctid, size FROM free
        UNION ALL SELECT ctid, size FROM due WHERE NOT expired AND NOT turns
        UNION ALL SELECT ctid, size FROM firsts WHERE ours AND expired
      ),
      -- A run ends where an entry is not free: what stands behind it may not overtake it.
      free_until AS MATERIALIZED (
        SELECT chosen.number, chosen.place, locked.ctid, locked.size,
          min(chosen.place) FILTER (WHERE locked.ctid IS NULL) OVER (PARTITION BY chosen.first) AS ending
        FROM chosen FULL JOIN locked ON locked.ctid = chosen.seen
        WHERE coalesce(chosen.number, 0) > 0
      ),
      taken AS MATERIALIZED (
        SELECT ctid FROM (
          SELECT ctid, sum(size) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - size AS before
          FROM free_until WHERE ending IS NULL OR place < ending
        ) AS summed
        WHERE ${bytes}::float8 IS NULL OR before < ${bytes}::float8
      ),
      -- What the worker who is gone held behind the first was hardly begun: only if what he had delivered was not settled yet. It goes
      -- back uncharged, and whoever wakes up late finds that it is no longer his.
      released AS (
        UPDATE ${table.outbox} SET status = 'pending', attempts = attempts - 1, claim_id = NULL, lease_until = NULL
        WHERE ctid = ANY (ARRAY(
          SELECT ctid FROM ${table.outbox}
          WHERE id = ANY (ARRAY(
              SELECT entry.id FROM firsts CROSS JOIN LATERAL (
                SELECT o.id, o.claim_id FROM ${table.outbox} o
                WHERE o.ordering_key = firsts.ordering_key AND (NOT o.finished OR o.blocks) AND o.seq > firsts.seq
                ORDER BY o.seq LIMIT ${mostOfKey}::int
              ) AS entry
              WHERE firsts.ours AND firsts.expired AND entry.claim_id = firsts.claim_id
            ))
            AND status = 'processing' AND claim_id = ANY (ARRAY(SELECT claim_id FROM firsts WHERE ours AND expired))
          FOR UPDATE SKIP LOCKED
        ))
        RETURNING id, attempts + 1 AS attempt, claimed_by, last_attempt_at, trace_id
      ),
      history AS (
        INSERT INTO ${table.outboxAttempts} (entry_id, attempt, destination, worker, started_at, ended_at, outcome, error, trace_id)
        SELECT id, attempt, ${destination}, claimed_by, last_attempt_at, ${time}, 'handed_back', ${goneBehind}, trace_id FROM released
      ),
      in_line AS (
        UPDATE ${table.outbox} SET waits_for = 'turn' WHERE ctid = ANY (ARRAY(SELECT ctid FROM firsts WHERE ours AND turns)) RETURNING 1
      ),
      held AS MATERIALIZED (
        SELECT ordering_key FROM ${table.outbox}
        WHERE id = ANY (ARRAY(SELECT id FROM firsts WHERE NOT ours)) AND seq = ANY (ARRAY(SELECT seq FROM firsts WHERE NOT ours))
          AND (NOT finished OR blocks)
          AND (status IS DISTINCT FROM 'processing' OR coalesce(last_attempt_at < ${time} - ${soon}::float8 * interval '1 millisecond', true))
        FOR NO KEY UPDATE SKIP LOCKED
      ),
      -- Of each key that is held, or is ours and was cut short: what was met and is not taken, and what is behind that.
      surplus AS MATERIALIZED (
        SELECT due.ordering_key, min(due.seq) AS seq FROM due
        WHERE due.ordering_key IN (SELECT ordering_key FROM held)
          OR (${
      run < limit
    }::boolean AND due.ordering_key IN (SELECT ordering_key FROM firsts WHERE ours AND NOT expired)
            AND due.id NOT IN (SELECT id FROM firsts WHERE ours) AND due.ctid NOT IN (SELECT ctid FROM taken))
        GROUP BY due.ordering_key
      ),
      behind AS MATERIALIZED (
        SELECT ctid FROM ${table.outbox}
        WHERE id = ANY (ARRAY(
            SELECT entry.id FROM surplus CROSS JOIN LATERAL (
              SELECT o.id, o.ctid FROM ${table.outbox} o
              WHERE o.ordering_key = surplus.ordering_key AND (NOT o.finished OR o.blocks) AND o.seq >= surplus.seq
              ORDER BY o.seq LIMIT ${mostOfKey}::int
            ) AS entry
            LIMIT ${mostSetAside}::int
          ))
          AND NOT finished AND waits_for IS NULL
          AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < ${time})
          AND ctid NOT IN (SELECT ctid FROM taken)
        FOR UPDATE SKIP LOCKED
      ),
      set_aside AS (
        UPDATE ${table.outbox} SET waits_for = 'key' WHERE ctid = ANY (ARRAY(SELECT ctid FROM behind)) RETURNING 1
      ),
      -- An entry is in one of these only: a first stands behind nothing.
      moved AS (SELECT * FROM in_line UNION ALL SELECT * FROM set_aside)`
  }
}
