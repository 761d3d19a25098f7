/**
 * The third version: order per key, time limits, deduplication, the history of attempts, dead letters that can be redriven, pauses and
 * rate limits, retention, and the comparison of a gradual rollout.
 */
import type { Tables } from "./SchemaName.ts"

const due = "(coalesce(next_attempt_at, '-infinity'::timestamptz))"

export const statements = (t: Tables): ReadonlyArray<string> => [
  `ALTER TABLE ${t.outbox}
    -- What its key does when the entry is dead: 'block' or 'skip'.
    ADD COLUMN IF NOT EXISTS on_dead VARCHAR(10) DEFAULT 'block',
    -- Dead, if not delivered by then.
    ADD COLUMN IF NOT EXISTS expires_at TIMESTAMPTZ,
    -- Milliseconds to wait after the first failure, the second, and so on; the last one is used again. NULL: the processor's policy.
    ADD COLUMN IF NOT EXISTS retry_waits DOUBLE PRECISION[],
    -- 'key': behind another entry of its key. 'turn': its type is paused, or has a limit. NULL: for nothing but its time.
    ADD COLUMN IF NOT EXISTS waits_for VARCHAR(10),
    -- Dead, and holding up its key.
    ADD COLUMN IF NOT EXISTS blocks BOOLEAN NOT NULL DEFAULT false,
    -- How often the process was gone in the middle of its delivery.
    ADD COLUMN IF NOT EXISTS crashes INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS claimed_by TEXT,
    ADD COLUMN IF NOT EXISTS redrives INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS died_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS discarded_at TIMESTAMPTZ,
    -- Published directly already; the processor delivers it to the comparison only.
    ADD COLUMN IF NOT EXISTS shadow BOOLEAN NOT NULL DEFAULT false`,

  // One index for what has no key and one for what has: the claim of the first stays one scan, and what waits for a key or a turn lies in
  // neither, so that it costs the others nothing however much of it there is.
  `DROP INDEX IF EXISTS ${t.schema}.outbox_due`,
  `CREATE INDEX outbox_due ON ${t.outbox} (${due}, seq)
    WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL`,
  `CREATE INDEX outbox_due_keyed ON ${t.outbox} (${due}, seq)
    WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NOT NULL`,
  // What a key has still to deliver, in its order; a dead entry that blocks it stands in the way.
  `CREATE INDEX outbox_key ON ${t.outbox} (ordering_key, seq)
    WHERE ordering_key IS NOT NULL AND (NOT finished OR blocks)`,
  `CREATE INDEX outbox_turn ON ${t.outbox} ((coalesce(event_type, '')), ${due}, seq)
    WHERE NOT finished AND waits_for = 'turn'`,
  `CREATE INDEX outbox_suspects ON ${t.outbox} (seq) WHERE NOT finished AND crashes >= 2`,
  `CREATE INDEX outbox_expiring ON ${t.outbox} (expires_at) WHERE NOT finished AND expires_at IS NOT NULL`,

  // Those that were discarded are dead letters no more.
  `DROP INDEX IF EXISTS ${t.schema}.outbox_dead`,
  `CREATE INDEX outbox_dead ON ${t.outbox} (seq) WHERE finished AND delivered_at IS NULL AND discarded_at IS NULL`,

  // For retention. Block range indexes do not hold up: where the space of deleted rows is used again, nearly every range spans all ages
  // (measured on 300,000 entries: 1,000 rows found in 69 ms over 26,000 pages, against 0.4 ms over 130), and deleting never narrows
  // one. What these cost a delivery instead: 65 bytes of WAL, and no time that could be measured.
  `CREATE INDEX outbox_delivered ON ${t.outbox} (delivered_at) WHERE delivered_at IS NOT NULL`,
  // Dead letters of older builds, and of plain SQL, have no date of death: they come first, and are given one.
  `CREATE INDEX outbox_died ON ${t.outbox} ((coalesce(died_at, '-infinity'::timestamptz)))
    WHERE finished AND delivered_at IS NULL AND discarded_at IS NULL`,
  `CREATE INDEX outbox_discarded ON ${t.outbox} (discarded_at) WHERE discarded_at IS NOT NULL`,
  `CREATE INDEX inbox_processed ON ${t.inbox} (processed_at)`,

  // Every attempt that did not deliver. outcome: failed, timed_out, lease_expired, handed_back, parked, fenced or deadline_passed.
  `CREATE TABLE IF NOT EXISTS ${t.outboxAttempts} (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    destination TEXT NOT NULL,
    worker TEXT,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ NOT NULL,
    outcome VARCHAR(20) NOT NULL,
    error TEXT,
    trace_id UUID
  )`,
  `CREATE INDEX IF NOT EXISTS outbox_attempts_entry ON ${t.outboxAttempts} (entry_id, id)`,
  `CREATE INDEX IF NOT EXISTS outbox_attempts_ended ON ${t.outboxAttempts} (ended_at)`,
  `CREATE OR REPLACE FUNCTION ${t.schema}.refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION 'the history of attempts is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END $$`,
  `CREATE OR REPLACE TRIGGER outbox_attempts_append_only BEFORE UPDATE ON ${t.outboxAttempts}
    FOR EACH STATEMENT EXECUTE FUNCTION ${t.schema}.refuse_change_of_history()`,

  // Which entry a deduplication key has written, and until when it stands for all that come after it.
  `CREATE TABLE IF NOT EXISTS ${t.dedupeKeys} (
    event_type VARCHAR(100) NOT NULL,
    dedupe_key VARCHAR(200) NOT NULL,
    entry_id UUID NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (event_type, dedupe_key)
  )`,
  `CREATE INDEX IF NOT EXISTS dedupe_keys_until ON ${t.dedupeKeys} (until)`,

  // Pauses, and how much of a rate limit is used up. kind: type or destination. used_until: when the limit has room for one more.
  `CREATE TABLE IF NOT EXISTS ${t.flow} (
    kind VARCHAR(20) NOT NULL,
    name TEXT NOT NULL,
    paused_at TIMESTAMPTZ,
    paused_by TEXT,
    used_until TIMESTAMPTZ,
    PRIMARY KEY (kind, name)
  ) WITH (fillfactor = 50)`,

  // What somebody did to entries by hand.
  `CREATE TABLE IF NOT EXISTS ${t.audit} (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    by TEXT NOT NULL,
    action VARCHAR(30) NOT NULL,
    filter JSONB NOT NULL,
    count BIGINT NOT NULL
  )`,

  // Work that one process does for all: who, until when that holds without being renewed, and what came of it.
  `CREATE TABLE IF NOT EXISTS ${t.tasks} (
    name VARCHAR(50) PRIMARY KEY,
    owner UUID,
    runner TEXT,
    lease_until TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    outcome JSONB
  )`,

  // Both ways of a gradual rollout, to be compared by id.
  `CREATE TABLE IF NOT EXISTS ${t.shadowDeliveries} (
    event_id UUID NOT NULL,
    path VARCHAR(10) NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    digest TEXT NOT NULL,
    error TEXT,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (event_id, path)
  )`,
  `CREATE INDEX IF NOT EXISTS shadow_deliveries_at ON ${t.shadowDeliveries} (at)`
]
