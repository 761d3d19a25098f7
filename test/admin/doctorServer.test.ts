/** Each finding of the doctor's that lies in the server, the users or the way to it; on a server of its own. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import { connection } from "@zakops/admin/doctor/connection"
import { Doctor } from "@zakops/admin/doctor/Doctor"
import { listening } from "@zakops/admin/doctor/listening"
import { prepared } from "@zakops/admin/doctor/prepared"
import { privileges } from "@zakops/admin/doctor/privileges"
import { transactions } from "@zakops/admin/doctor/transactions"
import { vacuum } from "@zakops/admin/doctor/vacuum"
import { applyRoles } from "@zakops/migrations/roles"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { lines, look, withVariables } from "../support/doctor.ts"
import * as OwnServer from "../support/OwnServer.ts"
import { as, clientOf, execute, ServerUrl } from "../support/OwnServer.ts"
import { isMissing, startPgBouncer } from "../support/pgbouncer.ts"

const layerDatabase = OwnServer.layer({
  fsync: "off",
  max_connections: "20",
  superuser_reserved_connections: "3",
  max_prepared_transactions: "2",
  autovacuum: "off"
})

layer(layerDatabase, { excludeTestServices: true })("the doctor", (it) => {
  it.effect("finds transactions that stay open, worse where they have written", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const opened = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const open = (statement: string) =>
        sql.withTransaction(Effect.gen(function*() {
          yield* sql.unsafe(statement)
          yield* Deferred.succeed(opened, void 0)
          yield* Deferred.await(ended)
        }))
      const reading = yield* Effect.forkChild(open("SELECT 1"))
      yield* Deferred.await(opened)
      const [read] = yield* look(transactions, { transactionSeconds: 0 })
      assert.match(read?.title ?? "", /^a transaction is open for \d+ s: vacuum takes nothing away behind it$/)
      assert.match(read?.fix ?? "", /^SELECT pg_terminate_backend\(\d+\)/)
      yield* Deferred.succeed(ended, void 0)
      yield* Fiber.await(reading)

      const written = yield* Deferred.make<void>()
      const writing = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT pg_current_xact_id()::text`
        yield* Deferred.succeed(written, void 0)
        return yield* Effect.never
      })))
      yield* Deferred.await(written)
      const [wrote] = yield* look(transactions, { transactionSeconds: 0 })
      assert.match(wrote?.title ?? "", /^a transaction that has written is open for .*: no subscription reads past it$/)
      assert.strictEqual(wrote?.severity, "serious")
      yield* Fiber.interrupt(writing)
      assert.strictEqual((yield* look(transactions, { transactionSeconds: 0 }))[0]?.severity, "ok")
    }))

  it.effect("finds a prepared transaction, and says how to finish it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql.reserve.pipe(
        Effect.flatMap((own) =>
          Effect.forEach(
            ["BEGIN", "SELECT pg_current_xact_id()::text", "PREPARE TRANSACTION 'it''s left'"],
            (statement) => own.executeUnprepared(statement, [], undefined)
          )
        ),
        Effect.scoped
      )
      const [found] = yield* look(prepared, { transactionSeconds: 0 })
      assert.match(found?.title ?? "", /^the transaction it's left was prepared \d+ s ago and never finished$/)
      const [rollback = ""] = /ROLLBACK PREPARED '.*'(?=,)/.exec(found?.fix ?? "") ?? []
      yield* execute(rollback)
      assert.strictEqual((yield* look(prepared, { transactionSeconds: 0 }))[0]?.severity, "ok")
    }))

  it.effect("finds that autovacuum is off, and that hardly any connection is left", () =>
    Effect.scoped(Effect.gen(function*() {
      assert.deepStrictEqual(lines(yield* look(vacuum)), ["serious: autovacuum is switched off on the server"])
      const sql = yield* Effect.map(
        Layer.build(clientOf(yield* ServerUrl, 15)),
        (context) => Context.get(context, SqlClient)
      )
      yield* Effect.forEach(Array.from({ length: 15 }), () => sql.reserve, { concurrency: "unbounded", discard: true })
      assert.deepStrictEqual(
        (yield* look(connection)).map(({ title }) => title),
        ["the server has hardly any connections left"]
      )
    })))

  it.effect("finds what its user and the roles may not do", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(lines(yield* look(privileges)), ["notice: postgres is a superuser"])
      yield* applyRoles
      for (const user of ["worker", "reader", "emitter", "nobody_here", "half"]) {
        yield* execute(`CREATE ROLE "${user}" LOGIN PASSWORD 'secret'`)
      }
      yield* execute(
        "GRANT zakops_worker TO worker",
        "GRANT zakops_reader TO reader",
        "GRANT zakops_emitter TO emitter",
        "GRANT USAGE ON SCHEMA zakops TO half",
        "GRANT SELECT ON ALL TABLES IN SCHEMA zakops TO half",
        "GRANT UPDATE ON zakops.outbox TO half"
      )
      const says = (user: string) => as(user)(look(privileges))
      assert.deepStrictEqual(lines(yield* says("worker")), ["ok: worker may do all that a worker does"])
      assert.deepInclude((yield* says("reader"))[0], { severity: "notice", detail: "it may read" })
      assert.deepInclude((yield* says("emitter"))[0], { severity: "notice", detail: "it may emit" })
      const [half] = yield* says("half")
      assert.deepInclude(half, { severity: "serious", title: "half may not do all that a worker does" })
      assert.match(half?.detail ?? "", /^lacks DELETE on checkpoints, .* and \d+ more$/)
      const [nobody] = yield* says("nobody_here")
      assert.deepInclude(nobody, { severity: "warning" })

      yield* execute("REVOKE DELETE ON zakops.inbox FROM zakops_worker")
      assert.include(
        lines(yield* look(privileges)),
        "serious: the role zakops_worker lacks rights that this version needs"
      )
      yield* applyRoles
      yield* execute("REVOKE SELECT ON ALL SEQUENCES IN SCHEMA zakops FROM zakops_reader")
      const [, sequences] = yield* look(privileges)
      assert.match(sequences?.detail ?? "", /^lacks SELECT on \w+_seq/)
      yield* applyRoles
      assert.deepStrictEqual(lines(yield* look(privileges)), ["notice: postgres is a superuser"])

      // Whoever sees no other transactions says so rather than that there are none.
      assert.include(
        lines(yield* as("worker")(look(transactions))),
        "notice: the transactions of other users cannot be seen"
      )
      // What cannot be looked at is said, and what would help.
      const all = yield* as("emitter")(Effect.provide(Effect.flatMap(Doctor, ({ examine }) => examine), Doctor.layer))
      const refused = all.filter(({ title }) => title === "could not be looked at")
      assert.isAbove(refused.length, 0)
      assert.match(refused[0]?.fix ?? "", /zakops roles/)
    }))

  it.effect("hears itself, or says that nobody listens", () =>
    Effect.gen(function*() {
      const DIRECT_URL = yield* ServerUrl
      assert.deepStrictEqual(lines(yield* look(listening)), ["ok: notifications arrive"])
      assert.deepStrictEqual(
        lines(yield* withVariables({ OUTBOX_POOLER: "transaction" })(look(listening))),
        ["warning: nobody listens for new entries"]
      )
      assert.deepStrictEqual(
        lines(yield* withVariables({ OUTBOX_POOLER: "transaction", DIRECT_URL })(look(listening))),
        ["ok: notifications arrive"]
      )
      const elsewhere = new URL(DIRECT_URL)
      elsewhere.pathname = "/template1"
      assert.deepStrictEqual(
        lines(yield* withVariables({ DIRECT_URL: elsewhere.toString() })(look(listening))),
        ["warning: LISTEN hears nothing"]
      )
      elsewhere.port = "1"
      assert.deepStrictEqual(
        lines(yield* withVariables({ DIRECT_URL: elsewhere.toString() })(look(listening))),
        ["warning: DIRECT_URL cannot be reached"]
      )
    }))

  it.effect.skipIf(isMissing)("finds a pooler that nobody has told of", () =>
    Effect.gen(function*() {
      const through = yield* startPgBouncer(yield* ServerUrl)
      const [found] = yield* Effect.provide(
        look(listening),
        PgClient.layer({ url: Redacted.make(through), prepare: false })
      )
      assert.deepInclude(found, { severity: "warning", title: "LISTEN hears nothing" })
      assert.match(found?.fix ?? "", /^Set OUTBOX_POOLER=transaction and DIRECT_URL=/)
    }))
})
