/** The fourth version: several destinations for one event, the workers that there are, and what they have done over time. */
import type { Tables } from "./SchemaName.ts"

const due = "(coalesce(next_attempt_at, '-infinity'::timestamptz))"

export const statements = (t: Tables): ReadonlyArray<string> => [
  `ALTER TABLE ${t.outbox}
    -- Where a route takes the event besides the main destination. NULL: the main destination.
    ADD COLUMN IF NOT EXISTS destination TEXT,
    -- The event that a route takes there. NULL: the entry's own id.
    ADD COLUMN IF NOT EXISTS event_id UUID`,
  `CREATE INDEX outbox_event ON ${t.outbox} (event_id) WHERE event_id IS NOT NULL`,

  // Each destination is claimed for by itself: what waits for one that is down is met by no claim for another.
  `DROP INDEX IF EXISTS ${t.schema}.outbox_due`,
  `CREATE INDEX outbox_due ON ${t.outbox} (${due}, seq)
    WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND destination IS NULL`,
  `DROP INDEX IF EXISTS ${t.schema}.outbox_due_keyed`,
  `CREATE INDEX outbox_due_keyed ON ${t.outbox} (${due}, seq)
    WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NOT NULL AND destination IS NULL`,
  `DROP INDEX IF EXISTS ${t.schema}.outbox_turn`,
  `CREATE INDEX outbox_turn ON ${t.outbox} ((coalesce(event_type, '')), ${due}, seq)
    WHERE NOT finished AND waits_for = 'turn' AND destination IS NULL`,
  `CREATE INDEX outbox_routed_due ON ${t.outbox} (destination, ${due}, seq)
    WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND destination IS NOT NULL`,
  `CREATE INDEX outbox_routed_due_keyed ON ${t.outbox} (destination, ${due}, seq)
    WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NOT NULL AND destination IS NOT NULL`,
  `CREATE INDEX outbox_routed_turn ON ${t.outbox} (destination, (coalesce(event_type, '')), ${due}, seq)
    WHERE NOT finished AND waits_for = 'turn' AND destination IS NOT NULL`,
  `CREATE INDEX outbox_routed_dead ON ${t.outbox} (destination, seq)
    WHERE destination IS NOT NULL AND finished AND delivered_at IS NULL AND discarded_at IS NULL`,

  // One row for each running processor, renewed every few seconds; one that is not seen any more is gone.
  `CREATE TABLE IF NOT EXISTS ${t.workers} (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    destination TEXT NOT NULL,
    -- Whether it takes routed entries there; false: all others.
    route BOOLEAN NOT NULL,
    version TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    -- Signals of new entries: 'listening', or 'polling' where LISTEN does not work.
    listener VARCHAR(20) NOT NULL,
    -- The circuit breaker of its destination: 'closed', 'open' or 'probing'.
    breaker VARCHAR(20) NOT NULL,
    -- Entries that it has claimed and not settled yet.
    holding INTEGER NOT NULL DEFAULT 0,
    -- Delivered in a second, lately.
    per_second DOUBLE PRECISION NOT NULL DEFAULT 0,
    -- Since it was started.
    delivered BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    dead BIGINT NOT NULL DEFAULT 0,
    fenced BIGINT NOT NULL DEFAULT 0
  ) WITH (fillfactor = 50)`,

  // What happened within ten seconds, for the charts of an operator: emitted (the highest seq so far, destination ''), routed (entries that
  // were made for routes, which have a seq as well), and delivered, failed, dead and fenced for each destination.
  `CREATE TABLE IF NOT EXISTS ${t.samples} (
    at TIMESTAMPTZ NOT NULL,
    destination TEXT NOT NULL,
    kind VARCHAR(20) NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (at, destination, kind)
  ) WITH (fillfactor = 50)`
]
