/**
 * The first version: the outbox and the inbox of the seed to the letter, the columns that are added to them, and the event log.
 *
 * Each statement can run over tables that an earlier system created and filled: nothing is dropped or renamed, and added columns have
 * a default. On large tables the generated and identity columns rewrite the table once, under its lock.
 */
import type { Tables } from "./SchemaName.ts"

export const statements = (t: Tables): ReadonlyArray<string> => [
  `CREATE TABLE IF NOT EXISTS ${t.outbox} (
    id UUID PRIMARY KEY,
    correlation_id UUID NOT NULL,
    aggregate_type VARCHAR(50),
    aggregate_id VARCHAR(100),
    event_type VARCHAR(100),
    schema_version INTEGER DEFAULT 1,
    event_data JSONB,
    trace_id UUID,
    status VARCHAR(50) DEFAULT 'pending',
    attempts INTEGER DEFAULT 0,
    max_attempts INTEGER DEFAULT 5,
    last_attempt_at TIMESTAMPTZ,
    next_attempt_at TIMESTAMPTZ,
    delivered_at TIMESTAMPTZ,
    error_message TEXT,
    created_at TIMESTAMPTZ
  )`,

  // finished is generated, so that whoever changes the status, this product or an older one, keeps the claim's index right. The index
  // names finished rather than status because an update stays HOT only if no column that any index names has changed: claiming
  // sets status, and must not touch an index (measured: 741 against 1,628 bytes of WAL for each event).
  `ALTER TABLE ${t.outbox}
    ADD COLUMN IF NOT EXISTS seq BIGINT GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS ordering_key TEXT,
    ADD COLUMN IF NOT EXISTS claim_id UUID,
    ADD COLUMN IF NOT EXISTS lease_until TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS headers JSONB DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS finished BOOLEAN NOT NULL
      GENERATED ALWAYS AS (coalesce(status IN ('delivered', 'dead'), false)) STORED`,

  // Room on each page for the claimed version of a row; vacuum early, as dead index entries slow the claim down.
  `ALTER TABLE ${t.outbox} SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)`,

  // The order of claiming. A producer in plain SQL may leave next_attempt_at NULL, which means: as soon as possible.
  `CREATE INDEX IF NOT EXISTS outbox_due ON ${t.outbox}
    ((coalesce(next_attempt_at, '-infinity'::timestamptz)), seq) WHERE NOT finished`,

  // The dead letters, found without naming status (see above).
  `CREATE INDEX IF NOT EXISTS outbox_dead ON ${t.outbox} (seq) WHERE finished AND delivered_at IS NULL`,

  `CREATE TABLE IF NOT EXISTS ${t.inbox} (
    id UUID PRIMARY KEY,
    event_id UUID NOT NULL,
    consumer_id VARCHAR(100) NOT NULL,
    processed_at TIMESTAMPTZ,
    UNIQUE (event_id, consumer_id)
  )`,

  `CREATE TABLE IF NOT EXISTS ${t.agentEvents} (
    id UUID PRIMARY KEY
  )`,
  `ALTER TABLE ${t.agentEvents}
    ADD COLUMN IF NOT EXISTS correlation_id UUID,
    ADD COLUMN IF NOT EXISTS aggregate_type VARCHAR(50),
    ADD COLUMN IF NOT EXISTS aggregate_id VARCHAR(100),
    ADD COLUMN IF NOT EXISTS event_type VARCHAR(100),
    ADD COLUMN IF NOT EXISTS schema_version INTEGER DEFAULT 1,
    ADD COLUMN IF NOT EXISTS event_data JSONB,
    ADD COLUMN IF NOT EXISTS trace_id UUID,
    ADD COLUMN IF NOT EXISTS headers JSONB DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS created_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS stream_version BIGINT,
    ADD COLUMN IF NOT EXISTS position BIGINT GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN IF NOT EXISTS xid XID8 DEFAULT pg_current_xact_id()`,

  // Readers go through the log in this order and stop below the oldest running transaction, so that nothing that commits
  // late is skipped.
  `CREATE INDEX IF NOT EXISTS agent_events_order ON ${t.agentEvents} (xid, position)`,

  `CREATE OR REPLACE FUNCTION ${t.schema}.refuse_change_of_log() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION 'the event log is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END $$`,
  `CREATE OR REPLACE TRIGGER agent_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${t.agentEvents}
    FOR EACH STATEMENT EXECUTE FUNCTION ${t.schema}.refuse_change_of_log()`,

  // How far each subscription has read the log.
  `CREATE TABLE IF NOT EXISTS ${t.checkpoints} (
    subscription VARCHAR(100) PRIMARY KEY,
    xid XID8 NOT NULL,
    position BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
  )`
]
