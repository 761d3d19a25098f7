/** The command as a user runs it: in a process of its own. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { runHere } from "../support/commandLine.ts"
import { run, start } from "../support/zakops.ts"
import { entries, eventually, loggedIds } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("zakops", (it) => {
  it.effect("completes its commands in each shell that the docs name", () =>
    Effect.gen(function*() {
      for (const shell of ["bash", "zsh", "fish", "powershell"]) {
        const { code, stdout } = yield* run(`--completions ${shell}`, {})
        assert.strictEqual(code, 0, shell)
        assert.include(stdout, "redrive", shell)
      }
    }))

  it.effect("tells a user's mistake in one line and ends with a code that says of which kind it is", () =>
    Effect.gen(function*() {
      const url = yield* TestDatabase.DatabaseUrl
      const missing = new URL(url)
      missing.pathname = "/no_such_database"
      const cases: ReadonlyArray<readonly [string, Record<string, string>, RegExp, number]> = [
        ["migrate", {}, /^zakops: DATABASE_URL is not set: /, 2],
        ["worker", { DATABASE_URL: "localhost:5432" }, /^zakops: DATABASE_URL is no Postgres URL: /, 2],
        [
          "status",
          { DATABASE_URL: "postgres://u:p%secret@h/d" },
          /^zakops: DATABASE_URL has a % that begins no encoded character: write % as %25/,
          2
        ],
        ["status", { DATABASE_URL: "postgres://u:secret@h/d?sslmode=on" }, /sslmode=on: allowed are disable, /, 2],
        ["worker --port 65536", {}, /^zakops: --port is 65536: allowed is 0 to 65535$/m, 2],
        [
          "worker",
          { DATABASE_URL: "postgres://u:secret@127.0.0.1:1/d" },
          /^zakops: cannot reach the database at 127\.0\.0\.1:1\/d: /,
          3
        ],
        [
          "migrate",
          { DATABASE_URL: missing.toString() },
          /no_such_database refuses: database "no_such_database" does not exist/,
          1
        ],
        [
          "worker",
          { DATABASE_URL: url },
          /^zakops: the tables in schema zakops are at version 0 .* run "zakops migrate"/,
          1
        ],
        [
          "worker",
          { DATABASE_URL: url, OUTBOX_BATCH_SIZE: "0" },
          /^zakops: OUTBOX_BATCH_SIZE is "0": allowed is a whole number/,
          2
        ],
        [
          "worker",
          { DATABASE_URL: url, OUTBOX_PROCESSOR_ENABLED: "false" },
          /^zakops: OUTBOX_PROCESSOR_ENABLED is false: /,
          2
        ],
        ["migrate", { DATABASE_URL: url, OUTBOX_SCHEMA: "a b" }, /^zakops: OUTBOX_SCHEMA is "a b": allowed are /, 2]
      ]
      const check = (stderr: string, line: RegExp) => {
        assert.match(stderr, line)
        assert.lengthOf(stderr.trim().split("\n"), 1, stderr)
        assert.notInclude(stderr, "secret")
      }
      yield* Effect.forEach(
        cases,
        ([command, env, line, expected]) =>
          Effect.map(runHere(command.split(" "), env), ({ code, problem }) => {
            check(problem, line)
            assert.strictEqual(code, expected)
          })
      )
      // And the same as a process: the line on stderr, no stack behind it, and the code.
      for (const [command, env, line, expected] of cases.slice(4, 7)) {
        const { code, stderr, stdout } = yield* run(command, env)
        check(stderr, line)
        assert.deepStrictEqual([code, stdout], [expected, ""])
      }
    }))

  it.effect("migrates, twice, and into a schema of another name", () =>
    Effect.gen(function*() {
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      const first = yield* run("migrate", { DATABASE_URL })
      assert.deepInclude(first, { code: 0, stderr: "" })
      assert.match(
        first.stdout,
        /^applied 1 outbox_inbox_and_log\napplied 2 event_sourcing\napplied 3 delivery\n(applied .*\n)*the tables in schema zakops of .* are up to date\n$/
      )
      const second = yield* run("migrate", { DATABASE_URL })
      assert.match(second.stdout, /^the tables in schema zakops of .* are up to date\n$/)
      const other = yield* run("migrate", { DATABASE_URL, OUTBOX_SCHEMA: "other" })
      assert.match(other.stdout, /schema other/)
    }))

  it.effect("says as JSON what it did, or would do", () =>
    Effect.gen(function*() {
      const env = { DATABASE_URL: yield* TestDatabase.DatabaseUrl, OUTBOX_SCHEMA: "as_json" }
      const asJson = (...flags: ReadonlyArray<string>) =>
        Effect.map(
          runHere(["migrate", "--json", ...flags], env),
          ({ stdout }) => JSON.parse(stdout) as Record<string, unknown>
        )
      const dry = yield* asJson("--dry-run")
      const { applied, schema } = yield* asJson()
      assert.deepStrictEqual(dry, { dryRun: true, schema, pending: applied })
      assert.deepInclude(applied as ReadonlyArray<unknown>, { id: 1, name: "outbox_inbox_and_log" })
      assert.deepStrictEqual(yield* asJson(), { schema: "as_json", applied: [] })
      assert.deepStrictEqual(yield* asJson("--dry-run"), { dryRun: true, schema: "as_json", pending: [] })
    }))

  it.effect("says what it would do, or prints the SQL, which makes the same tables", () =>
    Effect.gen(function*() {
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      const env = { DATABASE_URL, OUTBOX_SCHEMA: "by_hand" }
      const dry = yield* runHere(["migrate", "--dry-run"], env)
      assert.match(dry.stdout, /^would apply 1 outbox_inbox_and_log\n(would apply .*\n)+nothing was changed in /)
      const sql = yield* SqlClient
      const { stdout } = yield* runHere(["migrate", "--sql"], env)
      // As psql does: one statement after another, on one connection.
      yield* sql.reserve.pipe(
        Effect.flatMap((own) =>
          Effect.forEach(
            stdout.split(/;\n\n|;\n$/).filter((statement) => statement.trim() !== ""),
            (statement) => own.executeUnprepared(statement, [], undefined)
          )
        ),
        Effect.scoped
      )
      assert.match(
        (yield* runHere(["migrate", "--dry-run"], env)).stdout,
        /^the tables in schema by_hand of .* are up to date\n$/
      )
      assert.strictEqual((yield* runHere(["migrate", "--sql"], env)).stdout, "-- the tables are up to date\n")
      yield* run("migrate", { DATABASE_URL, OUTBOX_SCHEMA: "by_command" })
      const shapeOf = (schema: string) =>
        sql`SELECT table_name, column_name, data_type, column_default FROM information_schema.columns
          WHERE table_schema = ${schema} AND column_default IS NULL
          UNION ALL SELECT tablename, indexname, replace(indexdef, ${schema}, 's'), NULL FROM pg_indexes WHERE schemaname = ${schema}
          ORDER BY 1, 2`
      const made = yield* shapeOf("by_hand")
      assert.isAbove(made.length, 50)
      assert.deepStrictEqual(made, yield* shapeOf("by_command"))
      // Without a database it is everything.
      assert.match((yield* runHere(["migrate", "--sql"])).stdout, /^BEGIN;\n\nCREATE SCHEMA IF NOT EXISTS "zakops";/)
      assert.strictEqual((yield* runHere(["migrate", "--sql", "--dry-run"], env)).code, 2)
      assert.strictEqual((yield* runHere(["migrate", "--sql", "--json"], env)).code, 2)
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
