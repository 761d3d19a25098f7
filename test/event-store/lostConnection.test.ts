/** A connection that is lost in the middle of a transaction: a failure that can be told and tried again, never a defect. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import { startProxy } from "@zakops/bench/proxy"
import { EventStore } from "@zakops/event-store/EventStore"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Projection from "@zakops/event-store/Projection"
import { run } from "@zakops/event-store/runProjection"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { InboxGuard } from "@zakops/inbox"
import { serverText } from "@zakops/migrations/SqlErrors"
import { OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import { randomUUID } from "node:crypto"
import { Added, Counter } from "../support/counter.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, entries, eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { makeTotalsTable, rowsOf, totals } from "../support/totals.ts"

const Live = Layer.mergeAll(EventStore.layer.pipe(Layer.provide(EventLog.layerPublisher)), InboxGuard.layer).pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer)
)

/** Ends the session that runs it. */
const loseConnection = Effect.flatMap(SqlClient, (sql) => sql`SELECT pg_terminate_backend(pg_backend_pid())`)

layer(Live, { excludeTestServices: true })("a connection that is lost in a transaction", (it) => {
  const typed = (exit: Exit.Exit<unknown, unknown>) => {
    const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
    return error?._tag === "Some" && isSqlError(error.value) ? serverText(error.value) : "no typed failure"
  }

  it.effect("fails the caller's transaction with the database's words", () =>
    Effect.gen(function*() {
      const { transact } = yield* TransactionalPublisher
      assert.match(typed(yield* Effect.exit(transact(loseConnection))), /connection/i)
    }))

  it.effect("fails a guarded handler, which leaves no inbox row", () =>
    Effect.gen(function*() {
      const { once, onceForEach } = yield* InboxGuard
      const delivery = { eventId: randomUUID(), consumerId: "mailer" }
      assert.match(typed(yield* Effect.exit(once(delivery, loseConnection))), /connection/i)
      assert.match(
        typed(yield* Effect.exit(onceForEach("mailer", [delivery.eventId], () => loseConnection))),
        /connection/i
      )
      assert.strictEqual((yield* once(delivery, Effect.succeed("handled")))._tag, "Some")
    }))

  it.effect("does not end a processor: what it could not settle is settled over another one", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* sql`CREATE SEQUENCE settlements`
      yield* sql`CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF nextval('settlements') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
          RETURN NEW;
        END $$`
      yield* sql`CREATE TRIGGER end_session BEFORE UPDATE ON zakops.outbox FOR EACH ROW
        WHEN (NEW.status = 'delivered') EXECUTE FUNCTION end_session()`
      yield* Effect.scoped(Effect.gen(function*() {
        const { start } = yield* OutboxProcessor
        yield* start
        // An ordering key: settling and letting the next one forward are one transaction.
        yield* emitDeals(3, { orderingKey: "k" })
        yield* eventually(Effect.map(entries, (rows) => rows.every(({ status }) => status === "delivered")))
      }))
      assert.strictEqual((yield* FakePublisher).calls.length, 3)
      assert.strictEqual((yield* EventPublisher)._tag, "External")
      yield* sql`DROP TRIGGER end_session ON zakops.outbox`
    }))

  it.effect("does not end a projection, which handles the event again", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { execute } = yield* EventStore
      const counter = randomUUID()
      let tries = 0
      const projection = Projection.make({
        name: "trouble",
        handlers: [
          Projection.on(Added, () => Effect.suspend(() => ++tries <= 2 ? Effect.asVoid(loseConnection) : Effect.void))
        ]
      })
      yield* execute(Counter, counter, { add: 1 })
      const fiber = yield* Effect.forkChild(run(projection, { pollInterval: "20 millis" }))
      yield* eventually(Effect.sync(() => tries === 3 || fiber.pollUnsafe() !== undefined))
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("does not have a projection handle events again whose COMMIT had succeeded unheard", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const proxy = yield* startProxy(yield* TestDatabase.DatabaseUrl)
      const { execute } = yield* EventStore
      const counter = randomUUID()
      yield* makeTotalsTable("totals")
      yield* execute(Counter, counter, { add: 1 })

      let cut = false
      const projection = {
        ...totals,
        handle: (events: Parameters<typeof totals.handle>[0]) =>
          Effect.tap(
            totals.handle(events),
            Effect.sync(() => {
              if (!cut) proxy.cutAt("COMMIT", "answered")
              cut = true
            })
          )
      }
      const proxied = PgClient.layer({ url: Redacted.make(proxy.url) })
      const fiber = yield* Effect.forkChild(
        Effect.provide(run(projection, { pollInterval: "20 millis", lease: "1 second" }), proxied)
      )
      yield* eventually(Effect.map(rowsOf("totals"), (rows) => rows.length === 1))
      yield* execute(Counter, counter, { add: 2 })
      yield* eventually(Effect.map(rowsOf("totals"), ([row]) => (row?.total ?? 0) >= 3))
      assert.deepStrictEqual(yield* rowsOf("totals"), [{ id: counter, total: 3, events: 2 }])
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
    })))
})
