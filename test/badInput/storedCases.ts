/** Rows that somebody has written past the product: into the log, and into the tables that keep its own state. */

export interface StoredCase {
  readonly name: string
  /** Statements; `:id` is the id of the row in the log, where there is one. */
  readonly sql: string
  /** Whether Postgres takes it, and where it does not, what it says. */
  readonly refused?: RegExp
}

const inLog = (column: string, value: string): StoredCase => ({
  name: `log, ${column} ${value}`,
  sql: `INSERT INTO zakops.agent_events (id, ${column}) OVERRIDING SYSTEM VALUE VALUES (':id', ${value})`
})

const columns = [
  "correlation_id",
  "aggregate_type",
  "aggregate_id",
  "event_type",
  "schema_version",
  "event_data",
  "trace_id"
]
  .concat(["headers", "created_at", "stream_version"])

const log: ReadonlyArray<StoredCase> = [
  ...columns.map((column) => inLog(column, "NULL")),
  {
    name: "log, NULL wherever it may stand",
    sql: `INSERT INTO zakops.agent_events (id, ${columns.join()}) VALUES (':id', ${columns.map(() => "NULL").join()})`
  },
  ...["'infinity'", "'-infinity'", "'294276-12-31'", "'4713-01-01 BC'"].map((value) => inLog("created_at", value)),
  ...["'null'", "'7'", "'[[]]'", `'{"__proto__": {"a": 1}}'`].map((value) => inLog("headers", value)),
  ...["'null'", "'1e400'", "'9007199254740993'"].map((value) => inLog("event_data", value)),
  ...["0", "-2147483648", "2147483647"].map((value) => inLog("schema_version", value)),
  ...["-1", "9223372036854775807"].map((value) => inLog("stream_version", value)),
  inLog("event_type", "''")
]

const state: ReadonlyArray<StoredCase> = [
  ...["NULL", "'infinity'", "'-infinity'", "'294276-12-31'", "'4713-01-01 BC'"].flatMap((time) => [
    {
      name: `flow, used until ${time}`,
      sql: `INSERT INTO zakops.flow (kind, name, used_until) VALUES ('type', 'deal.made', ${time})
        ON CONFLICT (kind, name) DO UPDATE SET used_until = excluded.used_until`
    },
    {
      name: `flow, another type paused at ${time}`,
      sql: `INSERT INTO zakops.flow (kind, name, paused_at) VALUES ('type', 'other', coalesce(${time}, now()))`
    },
    {
      name: `inbox, processed ${time}`,
      sql: `INSERT INTO zakops.inbox VALUES (gen_random_uuid(), gen_random_uuid(), 'c', ${time})`
    },
    {
      name: `tasks, lease until ${time}`,
      sql: `INSERT INTO zakops.tasks (name, lease_until) VALUES ('nobody''s', ${time})`
    }
  ]),
  {
    name: "flow, a kind that nobody knows",
    sql: `INSERT INTO zakops.flow (kind, name, paused_at) VALUES ('banana', 'deal.made', now())`
  },
  { name: "flow, an empty name", sql: `INSERT INTO zakops.flow (kind, name, paused_at) VALUES ('type', '', now())` },
  {
    name: "inbox, an empty consumer",
    sql: `INSERT INTO zakops.inbox VALUES (gen_random_uuid(), gen_random_uuid(), '', now())`
  },
  {
    name: "inbox, no consumer",
    sql: `INSERT INTO zakops.inbox VALUES (gen_random_uuid(), gen_random_uuid(), NULL, now())`,
    refused: /consumer_id/
  },
  {
    name: "dedupe key of another's, for ever",
    sql: `INSERT INTO zakops.dedupe_keys VALUES ('other', 'k', gen_random_uuid(), 'infinity')`
  },
  {
    name: "history of an entry that is not there",
    sql:
      `INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, ended_at, outcome) VALUES (gen_random_uuid(), -1, '', 'infinity', 'banana')`
  },
  {
    name: "a parked event that is not in the log",
    sql:
      `INSERT INTO zakops.parked_events VALUES ('s', gen_random_uuid(), '1', -1, NULL, NULL, 'banana', '', -1, 'infinity', '-infinity')`
  },
  {
    name: "a checkpoint before the beginning",
    sql: `INSERT INTO zakops.checkpoints VALUES ('s', '0', -1, '-infinity', NULL, NULL, NULL)`
  },
  { name: "a stream without events", sql: `INSERT INTO zakops.streams VALUES ('', '', 9223372036854775807, '1')` },
  {
    name: "a projection of a status that nobody knows",
    sql:
      `INSERT INTO zakops.projections (name, version, status, can_reset, created_at) VALUES ('', -1, 'banana', true, 'infinity')`
  },
  { name: "the log, changed", sql: `UPDATE zakops.agent_events SET event_data = '{}'`, refused: /append-only/ },
  { name: "the log, emptied", sql: `TRUNCATE zakops.agent_events`, refused: /append-only/ },
  { name: "the history, changed", sql: `UPDATE zakops.outbox_attempts SET attempt = 1`, refused: /append-only/ }
]

export const storedCases: ReadonlyArray<StoredCase> = [...log, ...state]
