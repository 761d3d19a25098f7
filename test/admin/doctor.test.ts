/** The doctor over a database that is brought into each of the conditions that it speaks of. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import { Doctor } from "@zakops/admin/doctor/Doctor"
import { worst } from "@zakops/admin/doctor/Finding"
import { migrate } from "@zakops/migrations/Migrations"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestDatabase from "../support/TestDatabase.ts"

const examine = Effect.provide(Effect.flatMap(Doctor, ({ examine }) => examine), Doctor.layer)

/** What the doctor says of `check`. */
const says = (check: string) => Effect.map(examine, (found) => found.filter((finding) => finding.check === check))

const examineAt = (url: string) =>
  examine.pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url), connectTimeout: "2 seconds" })))

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("the doctor", (it) => {
  it.effect("says nothing but that the database cannot be reached, where it cannot, and what to do", () =>
    Effect.gen(function*() {
      const url = yield* TestDatabase.DatabaseUrl
      const changed = (change: (url: URL) => void) => {
        const other = new URL(url)
        change(other)
        return examineAt(other.toString())
      }
      const cases = [
        [changed((url) => url.port = "1"), /psql "\$DATABASE_URL"/],
        [changed((url) => url.pathname = "/no_such_database"), /createdb/],
        [changed((url) => url.username = "no_such_user"), /user and password in DATABASE_URL/]
      ] as const
      for (const [examined, fix] of cases) {
        const found = yield* examined
        assert.lengthOf(found, 1)
        assert.deepInclude(found[0], { check: "connection", severity: "serious" })
        assert.match(found[0]?.fix ?? "", fix)
      }
    }))

  it.effect("asks for zakops migrate where there are no tables, and where one version is missing", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const [none] = yield* says("migrations")
      assert.deepInclude(none, {
        severity: "serious",
        title: "there are no tables in schema zakops",
        fix: "zakops migrate"
      })
      yield* migrate
      assert.strictEqual((yield* says("migrations"))[0]?.severity, "ok")
      yield* sql`DELETE FROM zakops.migrations WHERE migration_id = 3`
      const [older] = yield* says("migrations")
      assert.deepInclude(older, { severity: "serious", detail: "missing: 3 delivery" })
      yield* sql`INSERT INTO zakops.migrations (migration_id, name) VALUES (3, 'delivery'), (99, 'from_the_future')`
      assert.deepInclude((yield* says("migrations"))[0], { severity: "notice" })
      yield* sql`DELETE FROM zakops.migrations WHERE migration_id = 99`
    }))

  it.effect("names the schema that has the tables, where OUTBOX_SCHEMA is another", () =>
    Effect.gen(function*() {
      const [found] = yield* Effect.provide(says("migrations"), layerSchemaName("elsewhere"))
      assert.match(found?.detail ?? "", /there are some in schema zakops/)
      assert.match(found?.fix ?? "", /OUTBOX_SCHEMA/)
    }))

  it.effect("calls a read-only database serious", () =>
    Effect.gen(function*() {
      const url = new URL(yield* TestDatabase.DatabaseUrl)
      url.searchParams.set("options", "-c default_transaction_read_only=on")
      const found = yield* examineAt(url.toString())
      const [first] = found
      assert.deepInclude(first, { check: "connection", severity: "serious", title: "this database is read-only" })
      assert.strictEqual(worst(found), "serious")
      assert.isAbove(found.length, 1)
    }))

  it.effect("finds nothing wrong with the server of the tests", () =>
    Effect.gen(function*() {
      assert.include(["ok", "notice"], (yield* says("version"))[0]?.severity)
      assert.strictEqual((yield* says("connection"))[0]?.severity, "ok")
    }))
})
