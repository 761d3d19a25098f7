/** The command as a user runs it: in a process of its own. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { run, start } from "../support/zakops.ts"
import { entries, eventually, loggedIds } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("zakops", (it) => {
  it.effect("tells a user's mistake in one line and ends with code 1", () =>
    Effect.gen(function*() {
      const url = yield* TestDatabase.DatabaseUrl
      const missing = new URL(url)
      missing.pathname = "/no_such_database"
      const cases: ReadonlyArray<readonly [string, Record<string, string>, RegExp]> = [
        ["migrate", {}, /^zakops: DATABASE_URL is not set: /],
        ["worker", { DATABASE_URL: "localhost:5432" }, /^zakops: DATABASE_URL is no Postgres URL: /],
        [
          "worker",
          { DATABASE_URL: "postgres://u:secret@127.0.0.1:1/d" },
          /^zakops: cannot reach the database at 127\.0\.0\.1:1\/d: /
        ],
        [
          "migrate",
          { DATABASE_URL: missing.toString() },
          /no_such_database refuses: database "no_such_database" does not exist/
        ],
        [
          "worker",
          { DATABASE_URL: url },
          /^zakops: the tables in schema zakops are at version 0 .* run "zakops migrate"/
        ],
        [
          "worker",
          { DATABASE_URL: url, OUTBOX_BATCH_SIZE: "0" },
          /^zakops: OUTBOX_BATCH_SIZE is "0": allowed is a whole number/
        ],
        [
          "worker",
          { DATABASE_URL: url, OUTBOX_PROCESSOR_ENABLED: "false" },
          /^zakops: OUTBOX_PROCESSOR_ENABLED is false: /
        ],
        ["migrate", { DATABASE_URL: url, OUTBOX_SCHEMA: "a b" }, /^zakops: OUTBOX_SCHEMA is "a b": allowed are /]
      ]
      yield* Effect.forEach(cases, ([command, env, line]) =>
        Effect.map(run(command, env), ({ code, stderr }) => {
          assert.match(stderr, line)
          assert.lengthOf(stderr.trim().split("\n"), 1, stderr)
          assert.notInclude(stderr, "secret")
          assert.strictEqual(code, 1)
        }), { concurrency: 4 })
    }))

  it.effect("migrates, twice, and into a schema of another name", () =>
    Effect.gen(function*() {
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      const first = yield* run("migrate", { DATABASE_URL })
      assert.deepInclude(first, { code: 0, stderr: "" })
      assert.match(
        first.stdout,
        /^applied 1 outbox_inbox_and_log\napplied 2 event_sourcing\napplied 3 delivery\nthe tables in schema zakops of .* are up to date\n$/
      )
      const second = yield* run("migrate", { DATABASE_URL })
      assert.match(second.stdout, /^the tables in schema zakops of .* are up to date\n$/)
      const other = yield* run("migrate", { DATABASE_URL, OUTBOX_SCHEMA: "other" })
      assert.match(other.stdout, /schema other/)
    }))

  it.effect("runs a worker, which delivers when it is told to look, and ends with code 0 on SIGTERM", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      const { child, ended, output } = yield* start("worker", { DATABASE_URL, OUTBOX_POLL_INTERVAL: "3600" })
      yield* eventually(Effect.sync(() => output.stdout.includes("delivering from the outbox")))
      yield* eventually(Effect.map(
        sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
        (rows) => rows.length > 0
      ))
      const id = randomUUID()
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data) VALUES (${id}, ${id}, 'a', '{}')`
      yield* sql`SELECT pg_notify('zakops_outbox', '')`
      yield* eventually(Effect.map(loggedIds, (ids) => ids.includes(id)))
      child.kill("SIGTERM")
      const code = yield* Effect.timeoutOption(ended, "5 seconds")
      assert.deepStrictEqual(code, Option.some(0))
      assert.strictEqual(output.stderr, "")
      assert.isTrue((yield* entries).every(({ status }) => status === "delivered"))
    })))
})
