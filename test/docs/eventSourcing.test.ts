/** The worked example of docs/event-sourcing.md, run. */
import { assert, layer } from "@effect/vitest"
import { EventStore } from "@zakops/event-store/EventStore"
import * as PostgresSubjectKeys from "@zakops/event-store/PostgresSubjectKeys"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import { run } from "@zakops/event-store/runProjection"
import * as Personal from "@zakops/events/Personal"
import { migrate } from "@zakops/migrations/Migrations"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import {
  account,
  accountWithSnapshots,
  AppLive,
  balances2,
  CustomerJoined,
  forget,
  importHistory,
  ofOneAccount,
  pay,
  projectionSpecification,
  Reports,
  specification,
  statement,
  transfer,
  WithTotals
} from "./eventSourcing.ts"

const Tables = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* migrate
  yield* sql`CREATE TABLE transfers (payer text, payee text, amount int)`
  yield* sql`CREATE TABLE balances (account_id text PRIMARY KEY, balance int NOT NULL)`
  yield* sql`CREATE TABLE balances_2 (account_id text PRIMARY KEY, balance int NOT NULL, payments int NOT NULL)`
  yield* sql`CREATE TABLE totals (events int NOT NULL)`
  yield* sql`INSERT INTO totals VALUES (0)`
})).pipe(Layer.provideMerge(TestDatabase.layerEmpty))

// The application as the page composes it, with DATABASE_URL set for it.
const App = Layer.unwrap(
  Effect.map(
    TestDatabase.DatabaseUrl,
    (DATABASE_URL) => AppLive.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ DATABASE_URL }))))
  )
).pipe(
  Layer.provideMerge(Tables)
)

layer(App, { excludeTestServices: true })("the worked example of event sourcing", (it) => {
  it.effect("pays, refuses, transfers, reads and remembers", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load } = yield* EventStore
      const [one, other] = [randomUUID(), randomUUID()]
      yield* execute(account, one, { _tag: "Open", owner: "Jane" })
      assert.strictEqual(yield* pay(one, 10), 10)
      const refused = yield* Effect.flip(pay(one, -11))
      assert.deepInclude({ ...refused }, { _tag: "TooLittle", balance: 10 })
      yield* transfer(one, other, 4)
      assert.strictEqual((yield* Effect.flip(transfer(one, other, 7)))._tag, "TooLittle")
      assert.deepStrictEqual((yield* load(account, one)).state, { balance: 6 })
      assert.deepStrictEqual((yield* load(account, other)).state, { balance: 4 })
      assert.lengthOf(yield* sql`SELECT 1 FROM transfers`, 1)

      const imported = randomUUID()
      assert.strictEqual((yield* importHistory(imported, Array.from({ length: 120 }, () => 1))).version, 120)
      assert.strictEqual((yield* Effect.flip(importHistory(imported, [1])))._tag, "WrongExpectedVersion")
      const latest = yield* Stream.runCollect(statement(imported))
      assert.deepStrictEqual(latest.map(({ streamVersion }) => streamVersion), [
        120,
        119,
        118,
        117,
        116,
        115,
        114,
        113,
        112,
        111
      ])
      yield* execute(accountWithSnapshots, imported, { _tag: "Pay", amount: 1 })
      const [snapshot] = yield* sql<
        { state: unknown }
      >`SELECT state FROM zakops.snapshots WHERE aggregate_id = ${imported}`
      assert.deepStrictEqual(snapshot?.state, { balance: 121 })
      assert.lengthOf(yield* Stream.runCollect(Stream.take(ofOneAccount(one), 3)), 3)
    }))

  it.effect("projects, and switches to a new version", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const id = randomUUID()
      yield* pay(id, 5)
      yield* Layer.build(Reports)
      yield* eventually(
        Effect.map(sql`SELECT 1 FROM balances WHERE account_id = ${id} AND balance = 5`, (rows) => rows.length === 1)
      )
      yield* eventually(Effect.map(ProjectionCatalog.liveVersion("balances"), Option.isSome))
      const second = yield* Effect.forkChild(run(balances2))
      yield* eventually(Effect.map(ProjectionCatalog.liveVersion("balances"), (live) => Option.contains(2)(live)))
      assert.lengthOf(yield* sql`SELECT 1 FROM account_balances WHERE account_id = ${id} AND payments = 1`, 1)
      yield* Fiber.interrupt(second)
    })))

  it.effect("writes inline projections with the append", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const context = yield* Layer.build(WithTotals)
      yield* Context.get(context, EventStore).execute(account, randomUUID(), { _tag: "Pay", amount: 1 })
      assert.lengthOf(yield* sql`SELECT 1 FROM totals WHERE events = 1`, 1)
    })))

  it.effect("forgets a person", () =>
    Effect.gen(function*() {
      const customerId = randomUUID()
      const event = yield* CustomerJoined.make({ customerId, plan: "gold", name: "Jane" })
      assert.notInclude(event.json, "Jane")
      const read = CustomerJoined.decode({
        id: randomUUID(),
        correlationId: customerId,
        aggregateType: "customer",
        aggregateId: customerId,
        eventType: "customer.joined",
        schemaVersion: 1,
        data: JSON.parse(event.json),
        traceId: null,
        headers: {},
        createdAt: new Date(0),
        orderingKey: null,
        sequence: null
      })
      assert.strictEqual((yield* read).data.name, "Jane")
      yield* forget(customerId)
      assert.deepStrictEqual((yield* read).data, { customerId, plan: "gold", name: Personal.forgotten })
    }).pipe(Effect.provide(PostgresSubjectKeys.layer)))

  it.effect("is specified", () =>
    Effect.gen(function*() {
      specification()
      const sql = yield* SqlClient
      yield* sql`TRUNCATE balances`
      yield* projectionSpecification
      assert.lengthOf(yield* sql`SELECT 1 FROM balances`, 0)
    }))
})
