/** Each finding of the doctor's that lies in the tables: brought about, found, mended by what the doctor says where that is a statement. */
import { assert, layer } from "@effect/vitest"
import type { Check } from "@zakops/admin/doctor/Check"
import { bloat } from "@zakops/admin/doctor/bloat"
import { clock } from "@zakops/admin/doctor/clock"
import { deadLetters } from "@zakops/admin/doctor/deadLetters"
import { delivery } from "@zakops/admin/doctor/delivery"
import { destinations } from "@zakops/admin/doctor/destinations"
import { checks } from "@zakops/admin/doctor/Doctor"
import { expectedIndexes, indexes } from "@zakops/admin/doctor/indexes"
import { restored } from "@zakops/admin/doctor/restored"
import { retention } from "@zakops/admin/doctor/retention"
import { settings } from "@zakops/admin/doctor/settings"
import { subscriptions } from "@zakops/admin/doctor/subscriptions"
import { triggers } from "@zakops/admin/doctor/triggers"
import { vacuum } from "@zakops/admin/doctor/vacuum"
import { tables } from "@zakops/migrations/SchemaName"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { lines, look, withVariables } from "../support/doctor.ts"
import { emptyTables, eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

/** Runs each statement by itself. */
const execute = (...statements: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement)))

/** Does what the doctor says. */
const mend = (check: Check) =>
  Effect.flatMap(look(check), (found) => execute(...found.flatMap(({ fix }) => fix?.split("; ") ?? [])))

const entry = (columns: string, values: string) =>
  `INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, ${columns})
    SELECT gen_random_uuid(), gen_random_uuid(), 'a.type', '{}', now() - interval '1 hour', ${values}`

layer(TestDatabase.layer, { excludeTestServices: true })("the doctor", (it) => {
  it.effect("finds nothing wrong with fresh tables, and looks at everything", () =>
    Effect.gen(function*() {
      for (const check of checks) {
        const found = yield* look(check)
        assert.isAbove(found.length, 0, check.name)
        assert.isTrue(found.every((one) => one.check === check.name))
        assert.deepStrictEqual(
          lines(found).filter((line) => /^(warning|serious)/.test(line)),
          [],
          check.name
        )
      }
    }))

  it.effect("finds an index that is missing or invalid, and the statement that it gives makes it anew", () =>
    Effect.gen(function*() {
      const names = yield* tables
      assert.isAbove(expectedIndexes(names).size, 15)
      yield* execute("DROP INDEX zakops.outbox_dead", "DROP INDEX zakops.agent_events_stream")
      assert.sameMembers(lines(yield* look(indexes)), [
        "warning: the index outbox_dead is missing",
        "serious: the index agent_events_stream is missing"
      ])
      yield* mend(indexes)
      assert.strictEqual((yield* look(indexes))[0]?.severity, "ok")

      // Two rows of the same id, as in tables that an older system has made: the index cannot be built, and stays behind, invalid.
      yield* execute(
        "INSERT INTO zakops.inbox (id, event_id, consumer_id) SELECT gen_random_uuid(), gen_random_uuid(), 'twice' FROM generate_series(1, 2)"
      )
      yield* Effect.ignore(execute("CREATE UNIQUE INDEX CONCURRENTLY by_consumer ON zakops.inbox (consumer_id)"))
      const [invalid] = yield* look(indexes)
      assert.deepInclude(invalid, { severity: "serious", title: "the index by_consumer is invalid" })
      yield* execute("DELETE FROM zakops.inbox")
      yield* mend(indexes)
      assert.strictEqual((yield* look(indexes))[0]?.severity, "ok")

      yield* execute("ALTER TABLE zakops.inbox DROP CONSTRAINT inbox_event_id_consumer_id_key")
      assert.deepStrictEqual(lines(yield* look(indexes)), [
        "serious: inbox has no unique index on (consumer_id, event_id)"
      ])
      yield* mend(indexes)
      assert.strictEqual((yield* look(indexes))[0]?.severity, "ok")
    }))

  it.effect("finds a trigger that is switched off or missing", () =>
    Effect.gen(function*() {
      yield* execute(
        "ALTER TABLE zakops.agent_events DISABLE TRIGGER agent_events_append_only",
        "DROP TRIGGER outbox_begin_entry ON zakops.outbox"
      )
      assert.deepStrictEqual(lines(yield* look(triggers)), [
        "serious: the trigger agent_events_append_only is switched off",
        "serious: the trigger outbox_begin_entry is missing"
      ])
      yield* mend(triggers)
      assert.strictEqual((yield* look(triggers))[0]?.severity, "ok")
    }))

  it.effect("finds tables full of dead rows, tables that autovacuum leaves out, and indexes that are mostly empty", () =>
    Effect.gen(function*() {
      yield* execute(
        "ALTER TABLE zakops.outbox SET (autovacuum_enabled = off)",
        `${entry("status", "'pending'")} FROM generate_series(1, 20000)`,
        // Counts reach the statistics some time after the transaction, unless they are told to; before Postgres 15 by a process of its own.
        `DO $$ BEGIN
          DELETE FROM zakops.outbox;
          IF current_setting('server_version_num')::int >= 150000 THEN PERFORM pg_stat_force_next_flush(); END IF;
        END $$`
      )
      const dead = look(vacuum, { deadRows: 1000 })
      yield* eventually(Effect.map(dead, ({ length }) => length === 2))
      const found = yield* dead
      assert.deepStrictEqual(lines(found), [
        "warning: autovacuum is switched off for tables of the outbox",
        "warning: outbox is full of dead rows"
      ])
      yield* execute(...found.flatMap(({ fix }) => fix?.split("; ") ?? []))
      assert.strictEqual((yield* look(vacuum, { deadRows: 1000 }))[0]?.severity, "ok")

      const empty = yield* look(bloat, { indexBytes: 100_000 })
      assert.include(lines(empty), "notice: the index outbox_due is mostly empty")
      yield* execute(...empty.flatMap(({ fix }) => fix === null ? [] : [fix]))
      assert.strictEqual((yield* look(bloat, { indexBytes: 100_000 }))[0]?.severity, "ok")
      yield* emptyTables
    }))

  it.effect("finds entries that nobody delivers, and claims whose workers are gone; not what is paused", () =>
    Effect.gen(function*() {
      yield* execute(entry("ordering_key", "'a key'"), entry("destination, ordering_key", "'billing', 'billing/a key'"))
      assert.deepStrictEqual(lines(yield* look(delivery)), [
        "serious: entries are due and not delivered for 60 min",
        "serious: entries for billing are due and not delivered for 60 min"
      ])
      yield* execute(
        `INSERT INTO zakops.flow (kind, name, paused_at, paused_by) VALUES ('type', 'a.type', now(), 'ann')`
      )
      assert.strictEqual((yield* look(delivery))[0]?.severity, "ok")
      assert.deepStrictEqual(lines(yield* look(destinations)), ["notice: the type a.type is paused"])
      yield* emptyTables
      yield* execute(
        entry("status, lease_until, claim_id", "'processing', now() - interval '5 minutes', gen_random_uuid()"),
        entry("status, lease_until, claim_id", "'processing', now() + interval '5 minutes', gen_random_uuid()")
      )
      const [stuck] = yield* look(delivery)
      assert.deepInclude(stuck, {
        severity: "serious",
        title: "claims of workers that are gone are not taken over",
        detail: "1 entries, their leases have run out more than 60 s ago"
      })
      yield* emptyTables
    }))

  it.effect("finds what the workers say: a destination that is down, polling, several versions", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const columns = yield* sql<{ name: string }>`
        SELECT column_name AS name FROM information_schema.columns WHERE table_schema = 'zakops' AND table_name = 'workers'`
      // Whether it is a route's worker is a column of a later state of this version.
      const route = columns.some(({ name }) => name === "route") ? [", route", ", false"] : ["", ""]
      yield* execute(
        `INSERT INTO zakops.workers (id, name, destination, version, started_at, seen_at, listener, breaker${
          route[0]
        }) VALUES
          (gen_random_uuid(), 'a:1', 'nats', '0.1.0', now(), now(), 'listening', 'open'${route[1]}),
          (gen_random_uuid(), 'b:1', 'nats', '0.2.0', now(), now(), 'polling', 'closed'${route[1]}),
          (gen_random_uuid(), 'b:1', 'billing', '0.2.0', now(), now(), 'polling', 'probing'${route[1]})`
      )
      assert.deepStrictEqual(lines(yield* look(destinations)), [
        "serious: billing is down",
        "warning: nats is down",
        "warning: workers find new entries by polling only",
        "notice: workers of several versions run"
      ])
      // One worker, though it has a route as well.
      assert.strictEqual((yield* look(destinations))[2]?.detail, "b:1")
      yield* execute(entry("max_attempts", "5"))
      assert.deepStrictEqual(lines(yield* look(delivery)), [
        "warning: entries are due and not delivered for 60 min"
      ])
      yield* execute("DELETE FROM zakops.workers")
      yield* emptyTables
    }))

  it.effect("finds dead letters, and keys that stand still behind them", () =>
    Effect.gen(function*() {
      yield* execute(entry("status, died_at", "'dead', now() - interval '2 hours'"))
      assert.deepStrictEqual(lines(yield* look(deadLetters)), ["notice: there are 1 dead letters"])
      yield* execute(entry("status, died_at, ordering_key, blocks", "'dead', now(), 'deal-7', true"))
      const found = yield* look(deadLetters)
      assert.deepStrictEqual(lines(found), [
        "warning: there are 2 dead letters",
        "warning: 1 ordering keys stand still behind a dead letter"
      ])
      assert.strictEqual(found[1]?.detail, "among them deal-7")
      yield* emptyTables
    }))

  it.effect("finds projections that have stopped, events that were set aside, and subscriptions that nobody runs", () =>
    Effect.gen(function*() {
      yield* execute(
        `INSERT INTO zakops.projections (name, version, status, can_reset, error, created_at) VALUES ('totals', 2, 'live', true, 'no', now())`,
        `INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
          VALUES ('ann''s mailer', gen_random_uuid(), '1', 1, 'failed', 'no', 3, now())`,
        `INSERT INTO zakops.agent_events (id, event_type, created_at) VALUES (gen_random_uuid(), 'a', now() - interval '1 day')`,
        `INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at) VALUES ('mailer', '1', 0, now() - interval '1 day')`,
        `INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at, lease_until)
          VALUES ('busy', '1', 0, now() - interval '1 day', now() + interval '10 seconds')`
      )
      const found = yield* look(subscriptions)
      assert.deepStrictEqual(lines(found), [
        "serious: version 2 of the projection totals has stopped",
        "warning: ann's mailer has set 1 events aside",
        "warning: nobody runs mailer"
      ])
      assert.match(
        found[2]?.fix ?? "",
        /: DELETE FROM "zakops"\."parked_events" WHERE subscription = 'mailer'; DELETE FROM /
      )
      assert.include(found[1]?.fix, "zakops consumers retry 'ann'\\''s mailer' --all")
      yield* emptyTables
    }))

  it.effect("finds a log that was restored from a dump", () =>
    Effect.gen(function*() {
      yield* execute(
        "INSERT INTO zakops.agent_events (id, event_type, xid) VALUES (gen_random_uuid(), 'a', '900000000000')"
      )
      const [found] = yield* look(restored)
      assert.deepInclude(found, { severity: "serious", title: "the event log was restored from a dump" })
      assert.match(found?.fix ?? "", /zakops repair-log/)
      yield* emptyTables
    }))

  it.effect("finds that old entries stay although an age is set, and a large outbox without one", () =>
    Effect.gen(function*() {
      yield* execute(entry("status, delivered_at", "'delivered', now() - interval '40 days'"), "ANALYZE zakops.outbox")
      const aged = yield* withVariables({ OUTBOX_RETENTION_DELIVERED: "30" })(look(retention))
      assert.deepStrictEqual(lines(aged), ["warning: delivered entries are not deleted in time"])
      assert.match(aged[0]?.detail ?? "", /over their 30 days; maintenance last finished never/)
      const kept = yield* withVariables({})(look(retention, { keptRows: 1 }))
      assert.deepStrictEqual(lines(kept), ["notice: delivered entries are kept for ever"])
      yield* emptyTables
    }))

  it.effect("finds variables with which nothing would start", () =>
    Effect.gen(function*() {
      for (
        const variables of [
          { OUTBOX_BATCH_SIZE: "0" },
          { DIRECT_URL: "nowhere" },
          { OUTBOX_RETENTION_INBOX: "1" }
        ]
      ) {
        const [found] = yield* withVariables(variables)(look(settings))
        assert.strictEqual(found?.severity, "serious")
        assert.match(found?.detail ?? "", new RegExp(`^${Object.keys(variables)[0]} is `))
      }
    }))

  it.effect("finds that this machine's clock is another", () =>
    Effect.gen(function*() {
      const clockHere = yield* Clock.Clock
      const late: Clock.Clock = Object.create(clockHere, {
        currentTimeMillis: { value: Effect.map(clockHere.currentTimeMillis, (millis) => millis - 3_600_000) }
      })
      const [found] = yield* Effect.provideService(look(clock), Clock.Clock, late)
      assert.match(found?.title ?? "", /^the database's clock is 3\d\d\d\.\d s ahead of this machine's$/)
      assert.strictEqual(found?.severity, "warning")
    }))
})
