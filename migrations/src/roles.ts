/**
 * Least privilege: three roles that no one can log in as, to be granted to the users of programs, and the SQL that makes them.
 *
 * An emitter writes entries and can read, change or delete none, but ask whether an id is there; a worker delivers, maintains, reads the log
 * and writes the entries of routes, and can change no event; a reader reads. Running the statements again takes back what was granted beyond
 * that, and grants what newer tables need.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { InvalidSchemaName, Tables } from "./SchemaName.ts"
import { schemaName, tables } from "./SchemaName.ts"

/** The names of the roles: the schema's name and what they do. */
export interface RoleNames {
  readonly emitter: string
  readonly worker: string
  readonly reader: string
}

/** The roles of the schema `schema`, which has been checked: at most 50 characters, so that no name is cut at 63 bytes. */
export const roleNames = (schema: string): RoleNames => ({
  emitter: `${schema}_emitter`,
  worker: `${schema}_worker`,
  reader: `${schema}_reader`
})

/** What a producer writes. seq, status and attempts are not among it: a row begins at the end, pending and untried. */
const emitted =
  "id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, headers, " +
  "max_attempts, retry_waits, ordering_key, on_dead, expires_at, next_attempt_at, created_at, shadow"

/** What becomes of an entry. The event itself is not among it: a worker cannot change what was emitted. */
const lifecycle =
  "status, attempts, max_attempts, last_attempt_at, next_attempt_at, delivered_at, error_message, created_at, claim_id, " +
  "claimed_by, lease_until, waits_for, blocks, crashes, redrives, died_at, discarded_at, expires_at, seq, shadow"

/** What a worker writes of an entry that takes an event to the destination of a route. */
const routed =
  "id, event_id, destination, correlation_id, aggregate_type, aggregate_id, event_type, schema_version, event_data, trace_id, " +
  "headers, max_attempts, retry_waits, ordering_key, on_dead, expires_at, next_attempt_at, created_at"

const createRole = (name: string) =>
  `DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${name}') THEN CREATE ROLE "${name}" NOLOGIN; END IF;
END $$`

/** The statements that make the roles and grant each what it needs, in order, each to be run by itself. */
export const roleStatements = (schema: string, t: Tables): ReadonlyArray<string> => {
  const { emitter, reader, worker } = roleNames(schema)
  const all = `"${emitter}", "${worker}", "${reader}"`
  return [
    createRole(emitter),
    createRole(worker),
    createRole(reader),
    `REVOKE ALL ON ALL TABLES IN SCHEMA ${t.schema} FROM ${all}`,
    `REVOKE ALL ON ALL SEQUENCES IN SCHEMA ${t.schema} FROM ${all}`,
    `REVOKE ALL ON SCHEMA ${t.schema} FROM ${all}`,
    `GRANT USAGE ON SCHEMA ${t.schema} TO ${all}`,
    // Whether the tables are there, asked at start.
    `GRANT SELECT ON ${t.migrations} TO ${all}`,

    // Whether an id is there tells what became of a COMMIT that got no answer.
    `GRANT SELECT (id), INSERT (${emitted}) ON ${t.outbox} TO "${emitter}"`,
    // Whose key it is has to be read, and taken over when its window has ended.
    `GRANT SELECT, INSERT, UPDATE (entry_id, until) ON ${t.dedupeKeys} TO "${emitter}"`,
    // What was published directly while its type is in shadow mode: a digest, and what the destination said. A second try replaces it,
    // for which Postgres asks the right to read what is put in its place.
    `GRANT INSERT, SELECT (event_id, path, digest, error, at), UPDATE (digest, error, at) ON ${t.shadowDeliveries} TO "${emitter}"`,
    // Whether the log belongs to this server, asked at start: places, and nothing of the events.
    `GRANT SELECT (xid, position) ON ${t.agentEvents} TO "${emitter}"`,

    `GRANT SELECT, DELETE, INSERT (${routed}), UPDATE (${lifecycle}) ON ${t.outbox} TO "${worker}"`,
    // How many entries were written so far, for the charts.
    `GRANT SELECT ON ALL SEQUENCES IN SCHEMA ${t.schema} TO "${worker}", "${reader}"`,
    `GRANT SELECT, INSERT ON ${t.agentEvents}, ${t.audit} TO "${worker}"`,
    `GRANT SELECT, INSERT, DELETE ON ${t.outboxAttempts}, ${t.inbox} TO "${worker}"`,
    `GRANT SELECT, DELETE ON ${t.dedupeKeys} TO "${worker}"`,
    // Retention locks what it deletes (FOR UPDATE), for which Postgres asks the right to update a column. Attempts refuse it by a trigger.
    `GRANT UPDATE (ended_at) ON ${t.outboxAttempts} TO "${worker}"`,
    `GRANT UPDATE (processed_at) ON ${t.inbox} TO "${worker}"`,
    `GRANT UPDATE (until) ON ${t.dedupeKeys} TO "${worker}"`,
    // The second batch of a change, and every further one, is counted in the row of the first.
    `GRANT UPDATE (count) ON ${t.audit} TO "${worker}"`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ${t.checkpoints}, ${t.parkedEvents}, ${t.projections}, ${t.streams}, ${t.snapshots},
      ${t.flow}, ${t.tasks}, ${t.shadowDeliveries}, ${t.workers}, ${t.samples} TO "${worker}"`,
    // Never DELETE: a forgotten subject stays known as forgotten.
    `GRANT SELECT, INSERT, UPDATE ON ${t.subjectKeys} TO "${worker}"`,

    // Everything but the keys of personal data.
    `GRANT SELECT ON ${t.outbox}, ${t.outboxAttempts}, ${t.agentEvents}, ${t.inbox}, ${t.checkpoints}, ${t.parkedEvents}, ${t.projections},
      ${t.streams}, ${t.snapshots}, ${t.dedupeKeys}, ${t.flow}, ${t.audit}, ${t.tasks}, ${t.shadowDeliveries}, ${t.workers},
      ${t.samples} TO "${reader}"`
  ]
}

/** The statements as a script for somebody who may create roles. */
export const rolesScript: Effect.Effect<string, InvalidSchemaName> = Effect.gen(function*() {
  const statements = roleStatements(yield* schemaName, yield* tables)
  return ["BEGIN", ...statements, "COMMIT"].map((statement) => `${statement};\n`).join("")
})

/** The user does not own the tables. Postgres only warns of a GRANT that such a user gives, and grants nothing. */
export class NotOwner extends Schema.TaggedError<NotOwner>()("NotOwner", {
  schema: Schema.String,
  user: Schema.String
}) {
  override get message() {
    return `${this.user} does not own the tables in schema ${this.schema}, and cannot grant rights to them: use their owner`
  }
}

/**
 * Makes the roles and grants them what they need, in one transaction, and gives their names. The tables have to be there. Needs the right
 * to create roles, and to be the owner of the tables; any number may run it at once.
 */
export const applyRoles: Effect.Effect<RoleNames, SqlError | InvalidSchemaName | NotOwner, SqlClient> = Effect.gen(
  function*() {
    const sql = yield* SqlClient
    const schema = yield* schemaName
    const names = yield* tables
    const statements = roleStatements(schema, names)
    const [owner] = yield* sql<{ user: string; owns: boolean }>`
    SELECT current_user::text AS user, coalesce(bool_and(pg_has_role(relowner, 'USAGE')), false) AS owns FROM pg_class
    WHERE relnamespace = to_regnamespace(${names.schema}) AND relkind IN ('r', 'p')`
    if (owner?.owns !== true) return yield* new NotOwner({ schema, user: owner?.user ?? "nobody" })
    yield* sql.withTransaction(Effect.gen(function*() {
      // Roles belong to the whole server: two that make them at once would run into each other.
      yield* sql`SELECT pg_advisory_xact_lock(hashtext('zakops roles'))`
      yield* Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
    }))
    return roleNames(schema)
  }
).pipe(Effect.withSpan("roles.applyRoles"))
