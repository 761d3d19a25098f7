/**
 * The second version: streams with versions over the log, snapshots, subscriptions that one process runs at a time, parked events,
 * projections, and the keys of personal data.
 */
import type { Tables } from "./SchemaName.ts"

export const statements = (t: Tables): ReadonlyArray<string> => [
  // xid is the last writer's: an append by an older transaction is refused, since readers go by transaction id first. Half of each page
  // stays free, so that moving a stream touches no index.
  `CREATE TABLE IF NOT EXISTS ${t.streams} (
    aggregate_type VARCHAR(50) NOT NULL,
    aggregate_id VARCHAR(100) NOT NULL,
    version BIGINT NOT NULL,
    xid XID8 NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
  ) WITH (fillfactor = 50)`,

  // What is decided has a version; what is only reported has none, and stands in no stream.
  `CREATE UNIQUE INDEX IF NOT EXISTS agent_events_stream ON ${t.agentEvents} (aggregate_type, aggregate_id, stream_version)
    WHERE stream_version IS NOT NULL`,

  // name: several deciders may fold the same stream to states of their own.
  `CREATE TABLE IF NOT EXISTS ${t.snapshots} (
    aggregate_type VARCHAR(50) NOT NULL,
    aggregate_id VARCHAR(100) NOT NULL,
    name VARCHAR(100) NOT NULL,
    snapshot_version INTEGER NOT NULL,
    stream_version BIGINT NOT NULL,
    state JSONB NOT NULL,
    personal BOOLEAN NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, name)
  ) WITH (fillfactor = 50)`,

  // Who runs a subscription, and until when that holds without being renewed.
  `ALTER TABLE ${t.checkpoints}
    ADD COLUMN IF NOT EXISTS owner UUID,
    ADD COLUMN IF NOT EXISTS runner TEXT,
    ADD COLUMN IF NOT EXISTS lease_until TIMESTAMPTZ`,
  `ALTER TABLE ${t.checkpoints} SET (fillfactor = 50)`,

  // Events that a subscription has set aside, and those of the same aggregate behind them. retry_at: NULL until somebody asks for it.
  `CREATE TABLE IF NOT EXISTS ${t.parkedEvents} (
    subscription VARCHAR(100) NOT NULL,
    event_id UUID NOT NULL,
    xid XID8 NOT NULL,
    position BIGINT NOT NULL,
    aggregate_type VARCHAR(50),
    aggregate_id VARCHAR(100),
    reason VARCHAR(20) NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    parked_at TIMESTAMPTZ NOT NULL,
    retry_at TIMESTAMPTZ,
    PRIMARY KEY (subscription, event_id)
  )`,
  `CREATE INDEX IF NOT EXISTS parked_events_key ON ${t.parkedEvents} (subscription, aggregate_type, aggregate_id)`,
  `CREATE INDEX IF NOT EXISTS parked_events_due ON ${t.parkedEvents} (subscription, retry_at)`,

  `CREATE TABLE IF NOT EXISTS ${t.projections} (
    name VARCHAR(80) NOT NULL,
    version INTEGER NOT NULL,
    status VARCHAR(20) NOT NULL,
    can_reset BOOLEAN NOT NULL,
    reset_requested BOOLEAN NOT NULL DEFAULT false,
    switch_requested BOOLEAN NOT NULL DEFAULT false,
    error TEXT,
    error_position BIGINT,
    error_event_id UUID,
    created_at TIMESTAMPTZ NOT NULL,
    live_at TIMESTAMPTZ,
    PRIMARY KEY (name, version)
  )`,

  // A key that is NULL was deleted: what it enciphered can never be read again. forgotten_xid is the transaction that did, for those who
  // read the key before and write later what they made of it.
  `CREATE TABLE IF NOT EXISTS ${t.subjectKeys} (
    subject VARCHAR(200) PRIMARY KEY,
    key BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    forgotten_at TIMESTAMPTZ,
    forgotten_xid XID8
  )`,
  `CREATE INDEX IF NOT EXISTS subject_keys_forgotten ON ${t.subjectKeys} (forgotten_xid) WHERE forgotten_xid IS NOT NULL`
]
