/** The tables: as the seed has them, made once whoever starts, and over what an earlier system left. */
import { assert, layer } from "@effect/vitest"
import { migrate, requireMigrated } from "@zakops/migrations/Migrations"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import * as Arr from "effect/Array"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import { promisify } from "node:util"
import * as TestDatabase from "../support/TestDatabase.ts"

const columnsOf = (table: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const rows = yield* sql<{ line: string }>`
      SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN a.attidentity = '' AND a.attgenerated = '' THEN coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
          ELSE '' END AS line
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = ${table}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
    return rows.map(({ line }) => line)
  })

/** The seed's tables, to the letter. */
const seedOutbox =
  `CREATE TABLE zakops.outbox (id UUID PRIMARY KEY, correlation_id UUID NOT NULL, aggregate_type VARCHAR(50),
  aggregate_id VARCHAR(100), event_type VARCHAR(100), schema_version INTEGER DEFAULT 1, event_data JSONB, trace_id UUID,
  status VARCHAR(50) DEFAULT 'pending', attempts INTEGER DEFAULT 0, max_attempts INTEGER DEFAULT 5,
  last_attempt_at TIMESTAMPTZ, next_attempt_at TIMESTAMPTZ, delivered_at TIMESTAMPTZ, error_message TEXT, created_at TIMESTAMPTZ)`
const seedInbox =
  `CREATE TABLE zakops.inbox (id UUID PRIMARY KEY, event_id UUID NOT NULL, consumer_id VARCHAR(100) NOT NULL,
  processed_at TIMESTAMPTZ, UNIQUE(event_id, consumer_id))`

layer(TestDatabase.layer)("the tables", (it) => {
  it.effect("of the outbox have the seed's columns, and then those that are added", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* columnsOf("zakops.outbox"), [
        "id uuid not null",
        "correlation_id uuid not null",
        "aggregate_type character varying(50)",
        "aggregate_id character varying(100)",
        "event_type character varying(100)",
        "schema_version integer default 1",
        "event_data jsonb",
        "trace_id uuid",
        "status character varying(50) default 'pending'::character varying",
        "attempts integer default 0",
        "max_attempts integer default 5",
        "last_attempt_at timestamp with time zone",
        "next_attempt_at timestamp with time zone",
        "delivered_at timestamp with time zone",
        "error_message text",
        "created_at timestamp with time zone",
        "seq bigint not null",
        "ordering_key text",
        "claim_id uuid",
        "lease_until timestamp with time zone",
        "headers jsonb default '{}'::jsonb",
        "finished boolean not null",
        "on_dead character varying(10) default 'block'::character varying",
        "expires_at timestamp with time zone",
        "retry_waits double precision[]",
        "waits_for character varying(10)",
        "blocks boolean not null default false",
        "crashes integer not null default 0",
        "claimed_by text",
        "redrives integer not null default 0",
        "died_at timestamp with time zone",
        "discarded_at timestamp with time zone",
        "shadow boolean not null default false",
        "destination text",
        "event_id uuid"
      ])
    }))

  it.effect("of the inbox have the seed's columns and its unique pair", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      assert.deepStrictEqual(yield* columnsOf("zakops.inbox"), [
        "id uuid not null",
        "event_id uuid not null",
        "consumer_id character varying(100) not null",
        "processed_at timestamp with time zone"
      ])
      const [event, row] = [randomUUID(), () => randomUUID()]
      yield* sql`INSERT INTO zakops.inbox (id, event_id, consumer_id) VALUES (${row()}, ${event}, 'a'), (${row()}, ${event}, 'b')`
      const again = sql`INSERT INTO zakops.inbox (id, event_id, consumer_id) VALUES (${row()}, ${event}, 'a')`
      assert.strictEqual((yield* Effect.flip(again)).reason._tag, "UniqueViolation")
    }))

  it.effect("have no index that claiming an entry would have to change", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const indexes = yield* sql<{ definition: string }>`
        SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index WHERE indrelid = 'zakops.outbox'::regclass`
      assert.lengthOf(indexes, 16)
      for (const { definition } of indexes) {
        assert.notMatch(definition, /status|attempts|last_attempt_at|claim_id|lease_until/)
      }
    }))

  it.effect("let the claim find what is due by its index, however much is delivered", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, status, next_attempt_at)
        SELECT gen_random_uuid(), gen_random_uuid(), CASE WHEN n % 10 = 0 THEN 'pending' ELSE 'delivered' END, now()
        FROM generate_series(1, 5000) n`
      yield* sql`ANALYZE zakops.outbox`
      const plan = yield* sql<{ "QUERY PLAN": string }>`EXPLAIN SELECT ctid FROM zakops.outbox
        WHERE NOT finished AND waits_for IS NULL AND ordering_key IS NULL AND destination IS NULL AND coalesce(next_attempt_at, '-infinity'::timestamptz) <= statement_timestamp()
          AND (status IS DISTINCT FROM 'processing' OR lease_until IS NULL OR lease_until < statement_timestamp())
        ORDER BY coalesce(next_attempt_at, '-infinity'::timestamptz), seq LIMIT 100 FOR UPDATE SKIP LOCKED`
      assert.include(plan.map((line) => line["QUERY PLAN"]).join("\n"), "Index Scan using outbox_due")
    }))

  it.effect("of the log refuse UPDATE, DELETE and TRUNCATE", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.agent_events (id) VALUES (${randomUUID()})`
      for (
        const statement of [
          "UPDATE zakops.agent_events SET event_type = 'x'",
          "DELETE FROM zakops.agent_events",
          "TRUNCATE zakops.agent_events"
        ]
      ) {
        const error = yield* Effect.flip(sql.unsafe(statement))
        assert.include(String((error.reason.cause as Error).message), "append-only")
      }
    }))
})

layer(TestDatabase.layerEmpty)("migrating", (it) => {
  it.effect("is asked for where it was not done", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(requireMigrated)
      assert.strictEqual(
        error.message,
        "the tables in schema zakops are at version 0 and version 6 is needed: run \"zakops migrate\""
      )
    }))

  it.effect("from eight processes at once is done by one of them", () =>
    Effect.gen(function*() {
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      const script = join(import.meta.dirname, "../support/migrateProcess.ts")
      const run = Effect.promise(() =>
        promisify(execFile)(process.execPath, [script], { env: { ...process.env, DATABASE_URL } })
      )
      const outputs = yield* Effect.all(Arr.replicate(run, 8), { concurrency: "unbounded" })
      assert.sameMembers(outputs.map(({ stdout }) => stdout), ["6", "0", "0", "0", "0", "0", "0", "0"])
      assert.deepStrictEqual(yield* migrate, [])
      yield* requireMigrated
    }))
})

layer(TestDatabase.layerEmpty)("migrating over an earlier system's tables", (it) => {
  it.effect("loses nothing, twice", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE SCHEMA zakops`
      yield* sql.unsafe(seedOutbox)
      yield* sql.unsafe(seedInbox)
      yield* sql`CREATE TABLE zakops.agent_events (id UUID PRIMARY KEY, correlation_id UUID, payload JSONB)`
      yield* sql`INSERT INTO zakops.agent_events SELECT gen_random_uuid(), gen_random_uuid(), '{"old": true}' FROM generate_series(1, 3)`
      yield* sql`INSERT INTO zakops.inbox SELECT gen_random_uuid(), gen_random_uuid(), 'c', now() FROM generate_series(1, 5)`
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, status, attempts, delivered_at, created_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'old', jsonb_build_object('n', n), s, n, CASE s WHEN 'delivered' THEN now() END, now()
        FROM generate_series(1, 4) n, unnest(ARRAY['pending', 'processing', 'delivered', 'dead', NULL]) s`
      const seedColumns = sql.literal(
        `id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data,
        trace_id, status, attempts, max_attempts, last_attempt_at, next_attempt_at, delivered_at, error_message, created_at`
      )
      const read = Effect.all([
        sql`SELECT ${seedColumns} FROM zakops.outbox ORDER BY id`,
        sql`SELECT id, event_id, consumer_id, processed_at FROM zakops.inbox ORDER BY id`,
        sql`SELECT id, correlation_id, payload FROM zakops.agent_events ORDER BY id`
      ])
      const before = yield* read
      assert.lengthOf(yield* migrate, 6)
      assert.deepStrictEqual(yield* migrate, [])
      assert.deepStrictEqual(yield* read, before)
      const states =
        yield* sql`SELECT finished, count(*)::int AS rows, count(DISTINCT seq)::int AS numbers FROM zakops.outbox
        GROUP BY finished ORDER BY finished`
      assert.deepStrictEqual(states, [
        { finished: false, rows: 12, numbers: 12 },
        { finished: true, rows: 8, numbers: 8 }
      ])
    }))
})

layer(TestDatabase.layerEmpty)("the schema's name", (it) => {
  it.effect("is quoted, so that it may be of any case and a reserved word", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      for (const name of ["Deals", "user", "_zakops2"]) {
        yield* Effect.provide(migrate, layerSchemaName(name))
        yield* Effect.provide(requireMigrated, layerSchemaName(name))
        const [row] = yield* sql`SELECT to_regclass(${`"${name}".outbox`}) IS NOT NULL AS there`
        assert.deepStrictEqual(row, { there: true })
      }
    }))

  it.effect("comes from OUTBOX_SCHEMA", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* Effect.provide(migrate, ConfigProvider.layer(ConfigProvider.fromUnknown({ OUTBOX_SCHEMA: "elsewhere" })))
      assert.deepStrictEqual(yield* sql`SELECT to_regclass('elsewhere.outbox') IS NOT NULL AS there`, [{ there: true }])
    }))

  it.effect("is refused where it could be anything but a name", () =>
    Effect.gen(function*() {
      for (const name of ["", "a b", "x\"; DROP SCHEMA public; --", "pg_mine", "1st", "ä", "a".repeat(51), "a\n"]) {
        const error = yield* Effect.flip(Effect.provide(migrate, layerSchemaName(name)))
        assert.strictEqual(error._tag, "InvalidSchemaName")
        assert.include(error.message, `OUTBOX_SCHEMA is ${JSON.stringify(name)}`)
      }
    }))
})
