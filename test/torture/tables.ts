/**
 * What the run keeps in the database beside the product's tables: the business change that each event goes with, the readers' results,
 * and a journal of every step of every entry, written by a trigger in the same transaction.
 */
import { migrate } from "@zakops/migrations/Migrations"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { logSchema, outsideSchema } from "./settings.ts"

export const migrateBoth = Effect.forEach(
  [outsideSchema, logSchema],
  (schema) => Effect.provide(migrate, layerSchemaName(schema)),
  { discard: true }
)

const statements = [
  `CREATE SCHEMA torture`,
  // n is the place among the events of its key, found out under the key's lock, which is the product's: were it not held, two would have
  // the same.
  `CREATE TABLE torture.business (
    event_id uuid PRIMARY KEY, ref uuid NOT NULL, key text, n int, fate text NOT NULL, UNIQUE (key, n)
  )`,
  `CREATE INDEX ON torture.business (ref)`,
  `CREATE TABLE torture.effects (number bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL, worker text NOT NULL)`,
  `CREATE TABLE torture.fold (id text PRIMARY KEY, events int NOT NULL, digest text NOT NULL)`,
  `CREATE TABLE torture.journal (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry_id uuid NOT NULL, at timestamptz NOT NULL, was text, became text,
    attempts_were int, attempts int, max_attempts int, due timestamptz, lease_was timestamptz, worker text, outside boolean NOT NULL
  )`,
  `CREATE INDEX ON torture.journal (at)`,
  `CREATE FUNCTION torture.note() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO torture.journal
      (entry_id, at, was, became, attempts_were, attempts, max_attempts, due, lease_was, worker, outside)
    VALUES (NEW.id, statement_timestamp(), OLD.status, NEW.status, OLD.attempts, NEW.attempts, NEW.max_attempts, OLD.next_attempt_at,
      OLD.lease_until, OLD.claimed_by, TG_TABLE_SCHEMA = '${outsideSchema}');
    RETURN NULL;
  END $$`,
  ...[outsideSchema, logSchema].map((schema) =>
    `CREATE TRIGGER torture_journal AFTER UPDATE ON ${schema}.outbox FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.claim_id IS DISTINCT FROM NEW.claim_id OR OLD.attempts IS DISTINCT FROM NEW.attempts)
    EXECUTE FUNCTION torture.note()`
  ),
  `CREATE TABLE torture.disk (full_now boolean NOT NULL)`,
  `INSERT INTO torture.disk VALUES (false)`,
  // A sequence counts what is rolled back as well.
  `CREATE SEQUENCE torture.refused MINVALUE 0 START 0`,
  `CREATE FUNCTION torture.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF (SELECT full_now FROM torture.disk) THEN
      PERFORM nextval('torture.refused');
      RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END IF;
    RETURN NULL;
  END $$`,
  ...[`${outsideSchema}.outbox`, `${logSchema}.outbox`, `${logSchema}.agent_events`].map((table) =>
    `CREATE TRIGGER torture_disk BEFORE INSERT ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION torture.refuse()`
  )
]

export const makeTables = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* migrateBoth
  yield* Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
})
