/** What the doctor finds of those who read the server by replication: slots, and a real standby; on a server of its own. */
import { assert, layer } from "@effect/vitest"
import { DoctorLimits } from "@zakops/admin/doctor/DoctorLimits"
import type { Slot } from "@zakops/admin/doctor/replication"
import { replication, slotFindings } from "@zakops/admin/doctor/replication"
import { standbys } from "@zakops/admin/doctor/standbys"
import { transactions } from "@zakops/admin/doctor/transactions"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { lines, look } from "../support/doctor.ts"
import { eventually } from "../support/outbox.ts"
import * as OwnServer from "../support/OwnServer.ts"
import { as, clientOf, execute, ServerUrl } from "../support/OwnServer.ts"
import { startStandby } from "../support/standby.ts"

layer(OwnServer.layer({ fsync: "off", wal_level: "logical" }), { excludeTestServices: true })("the doctor", (it) => {
  it.effect("finds a replication slot that nobody reads", () =>
    Effect.gen(function*() {
      yield* execute(
        "SELECT slot_name::text FROM pg_create_physical_replication_slot('forgotten', true)",
        "CREATE TABLE filling (a text)",
        "INSERT INTO filling SELECT repeat('x', 1000) FROM generate_series(1, 1000)"
      )
      assert.deepStrictEqual(lines(yield* look(replication)), ["warning: nobody reads the replication slot forgotten"])
      const [found] = yield* look(replication, { slotBytes: 1000 })
      assert.strictEqual(found?.severity, "serious")
      const [drop = ""] = /SELECT pg_drop_replication_slot\('forgotten'\)/.exec(found?.fix ?? "") ?? []
      yield* execute(drop)
      assert.strictEqual((yield* look(replication))[0]?.severity, "ok")
    }))

  it.effect("tells what a slot holds back of every table from what it holds back of the catalogue", () =>
    Effect.gen(function*() {
      const usual = yield* DoctorLimits
      const slot: Slot = {
        slot: "s",
        quoted: "'s'",
        active: true,
        temporary: false,
        kind: "logical",
        behind: 0,
        lost: false,
        rows: null,
        catalogue: null
      }
      const says = (given: Partial<Slot>) => lines(slotFindings({ ...slot, ...given }, usual))
      const old = usual.heldTransactions
      assert.deepStrictEqual(says({ rows: old - 1, catalogue: old - 1 }), [])
      assert.deepStrictEqual(says({ rows: null, catalogue: old }), [
        "warning: the replication slot s holds back vacuum of the catalogue"
      ])
      assert.deepStrictEqual(says({ rows: old, catalogue: old, temporary: true }), [
        "warning: the replication slot s holds back vacuum"
      ])
      // Without a reader the slot is what is wrong, and only once.
      assert.deepStrictEqual(says({ active: false }), [])
      assert.deepStrictEqual(says({ rows: old, active: false }), ["warning: nobody reads the replication slot s"])
      const [found] = slotFindings({ ...slot, catalogue: 2_340_000 }, usual)
      assert.include(found?.detail, "2.3 million transactions ago; none of the outbox's")
    }))

  it.effect("finds a standby whose long query holds back vacuum, with a slot and without, and says how to end it", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* execute("CREATE ROLE stranger LOGIN PASSWORD 'secret'")
      assert.deepStrictEqual(lines(yield* look(standbys)), ["ok: there are none"])
      const url = yield* startStandby(yield* ServerUrl, "reports")
      const there = yield* Effect.map(Layer.build(clientOf(url)), (context) => Context.get(context, SqlClient))
      const query = yield* there.reserve
      for (const statement of ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"]) {
        yield* query.executeUnprepared(statement, [], undefined)
      }
      yield* eventually(Effect.map(
        sql`SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL`,
        (rows) => rows.length === 1
      ))
      yield* Effect.forEach(Array.from({ length: 20 }), () => sql`SELECT pg_current_xact_id()::text`)
      const some = { heldTransactions: 20 }
      const found = yield* look(standbys, some)
      assert.deepStrictEqual(lines(found), ["warning: reports at 127.0.0.1 reads by replication and holds back vacuum"])
      assert.match(found[0]?.detail ?? "", /since \d+ transactions ago; process \d+, streaming$/)
      // That it is there at all is nothing wrong, nor that it holds back a little.
      assert.deepStrictEqual(lines(yield* look(standbys)), ["ok: none holds back vacuum"])
      // Who may not see where it is sees as much.
      assert.deepStrictEqual(lines(yield* as("stranger")(look(standbys, some))), [
        "warning: reports reads by replication and holds back vacuum"
      ])

      yield* execute("SELECT slot_name::text FROM pg_create_physical_replication_slot('for_reports')")
      yield* Effect.forEach(
        ["ALTER SYSTEM SET primary_slot_name = 'for_reports'", "SELECT pg_reload_conf()"],
        (statement) => there.unsafe(statement)
      )
      const ofSlot = look(replication, some)
      yield* eventually(Effect.map(ofSlot, ([first]) => first?.severity === "warning"))
      const [held] = yield* ofSlot
      assert.strictEqual(held?.title, "the replication slot for_reports holds back vacuum")
      assert.deepStrictEqual(lines(yield* look(replication)), ["ok: all are read"])
      assert.strictEqual((yield* look(standbys, some))[0]?.severity, "ok")

      const [statement = ""] = /SELECT pid.*?(?=;)/.exec(held?.fix ?? "") ?? []
      const [oldest] = yield* there.unsafe<{ pid: number }>(statement)
      yield* there`SELECT pg_terminate_backend(${oldest?.pid ?? 0}::int)`
      yield* eventually(Effect.map(ofSlot, ([first]) => first?.severity === "ok"))
    })))

  // Last, as its slot stays.
  it.effect("finds the transaction of a process that is no client's: a subscription's that waits for a lock", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const publisher = new URL(yield* ServerUrl)
      yield* execute("CREATE DATABASE publisher")
      publisher.pathname = "/publisher"
      const there = Effect.provide(clientOf(publisher.toString()))
      yield* there(execute(
        "CREATE TABLE copied (a int PRIMARY KEY)",
        "CREATE PUBLICATION copies FOR TABLE copied",
        "SELECT slot_name::text FROM pg_create_logical_replication_slot('copying', 'pgoutput')"
      ))
      yield* execute(
        "CREATE TABLE copied (a int PRIMARY KEY)",
        `CREATE SUBSCRIPTION copying CONNECTION '${publisher}' PUBLICATION copies WITH (create_slot = false, slot_name = 'copying', copy_data = false)`
      )
      const locked = yield* Deferred.make<void>()
      yield* Effect.forkScoped(sql.withTransaction(Effect.gen(function*() {
        yield* sql`LOCK TABLE copied`
        yield* Deferred.succeed(locked, undefined)
        return yield* Effect.never
      })))
      yield* Deferred.await(locked)
      yield* there(execute("INSERT INTO copied VALUES (1)"))
      yield* eventually(Effect.gen(function*() {
        const [worker] = yield* sql<
          { pid: number | null }
        >`SELECT pid FROM pg_stat_subscription WHERE subname = 'copying'`
        const found = yield* look(transactions, { transactionSeconds: 0 })
        return found.some(({ detail }) =>
          detail.startsWith(`process ${worker?.pid} of `) && detail.includes("(logical replication apply worker)")
        )
      }))
    }).pipe(Effect.scoped))
})
