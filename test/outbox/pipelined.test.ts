/** Transactions that send what nobody waits for along with what comes next: as others, in fewer round trips, whatever fails. Real time. */
import * as PgPool from "@effect/sql-pg/PgPool"
import { assert, describe, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { serverText, sqlState } from "@zakops/migrations/SqlErrors"
import type { EmitError, Transaction } from "@zakops/outbox"
import { Outbox, TransactionalPublisher } from "@zakops/outbox"
import { PipelinedConnection } from "@zakops/outbox/connecting/PipelinedConnection"
import * as PipelinedPgClient from "@zakops/outbox/PipelinedPgClient"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { BeginTransaction, SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { connect } from "node:net"
import { DealMade } from "../support/events.ts"
import { emptyTables, entries, services } from "../support/outbox.ts"
import { isMissing, startPgBouncer } from "../support/pgbouncer.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

/** The outbox over a client with one connection for transactions, which counts how often that is written to. */
const pipelined = Effect.gen(function*() {
  const url = new URL(yield* TestDatabase.DatabaseUrl)
  let writes = 0
  const client = PipelinedPgClient.layer({
    url: Redacted.make(url.toString()),
    maxConnections: 1,
    stream: () => {
      const socket = connect(Number(url.port || 5432), url.hostname)
      let isForTransactions = false
      socket.write = new Proxy(socket.write, {
        apply: (write, self, args: Parameters<typeof socket.write>) => {
          if (isForTransactions) writes++
          isForTransactions ||= String(args[0]).includes("default_transaction_read_only")
          return Reflect.apply(write, self, args)
        }
      })
      return socket
    }
  })
  const context = yield* Layer.build(Layer.fresh(
    services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(client))
  ))
  const sql = Context.get(context, SqlClient)
  const outbox = Context.get(context, Outbox)
  const { transact } = Context.get(context, TransactionalPublisher)
  const made = yield* DealMade.make({ dealId: "d", title: "t" })
  const correlationId = randomUUID()
  // The connection is there, and has been looked at.
  yield* sql.withTransaction(sql`SELECT 1`)
  return {
    sql,
    transact,
    emit: outbox.emit(made, { correlationId }),
    emitAs: (id: string) => outbox.emit(made, { correlationId, id }),
    emitWithKey: outbox.emit(made, { correlationId, orderingKey: "k" }),
    change: (name: string) => sql`INSERT INTO business VALUES (${name})`,
    writesOf: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        const before = writes
        return Effect.map(self, () => writes - before)
      })
  }
})

const business = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* emptyTables
  yield* sql`CREATE TABLE IF NOT EXISTS business (name text)`
  yield* sql`TRUNCATE business`
})

/** What is committed: the business changes, and how many events. */
const there = Effect.gen(function*() {
  const sql = yield* SqlClient
  const rows = yield* sql<{ name: string }>`SELECT name FROM business ORDER BY name`
  return { changes: rows.map(({ name }) => name), events: (yield* entries).length }
})

/** A row that another transaction holds until the scope closes. */
const held = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`INSERT INTO business VALUES ('held')`
  const isHeld = yield* Deferred.make<void>()
  yield* Effect.forkScoped(sql.withTransaction(Effect.gen(function*() {
    yield* sql`SELECT FROM business WHERE name = 'held' FOR UPDATE`
    yield* Deferred.succeed(isHeld, void 0)
    return yield* Effect.never
  })))
  yield* Deferred.await(isHeld)
})

layer(TestDatabase.layer, { excludeTestServices: true })("a pipelined transaction", (it) => {
  it.effect("writes to its connection once for BEGIN and its first statement, and once for its events and COMMIT", () =>
    Effect.gen(function*() {
      yield* business
      const { change, emit, emitWithKey, sql, transact, writesOf } = yield* pipelined
      const ten = Effect.replicateEffect(emit, 10)
      const cases: ReadonlyArray<readonly [writes: number, Effect.Effect<unknown, unknown, Transaction>]> = [
        [2, Effect.andThen(change("one"), emit)],
        [2, Effect.andThen(change("ten"), ten)],
        [1, emit],
        [1, ten],
        [0, Effect.void],
        // What was emitted goes with the next statement, whichever it is.
        [3, Effect.all([change("first"), emit, change("second"), emit])],
        // Locks of others may have to be waited for.
        [3, Effect.andThen(change("key"), emitWithKey)],
        // BEGIN, SAVEPOINT, the event, RELEASE, COMMIT.
        [4, transact(emit)],
        [2, sql`SELECT 1`]
      ]
      for (const [writes, self] of cases) assert.strictEqual(yield* writesOf(transact(self)), writes)
      assert.deepStrictEqual(yield* there, { changes: ["first", "key", "one", "second", "ten"], events: 26 })
    }))

  it.effect("sees what it has emitted, in the order of its statements", () =>
    Effect.gen(function*() {
      yield* business
      const { emitAs, sql, transact } = yield* pipelined
      const ids = Array.from({ length: 5 }, () => randomUUID())
      const seen = yield* transact(Effect.gen(function*() {
        yield* emitAs(ids[0] ?? "")
        yield* emitAs(ids[1] ?? "")
        const [row] = yield* sql<{ count: number }>`SELECT count(*)::int FROM zakops.outbox`
        yield* emitAs(ids[2] ?? "")
        yield* transact(emitAs(ids[3] ?? ""))
        yield* emitAs(ids[4] ?? "")
        const rows = yield* Stream.runCollect(sql<{ id: string }>`SELECT id FROM zakops.outbox ORDER BY seq`.stream)
        return { count: row?.count, ids: rows.map(({ id }) => id) }
      }))
      assert.deepStrictEqual(seen, { count: 2, ids })
      assert.deepStrictEqual((yield* entries).map(({ id }) => id), ids)
    }))

  it.effect("may emit while it reads a stream, and behind it", () =>
    Effect.gen(function*() {
      yield* business
      const { change, emit, sql, transact } = yield* pipelined
      const events = yield* transact(Effect.gen(function*() {
        yield* change("a")
        const read = sql`SELECT n FROM generate_series(1, 2000) AS n`.stream
        const count = yield* Stream.runFold(Stream.tap(read, () => emit), () => 0, (sum) => sum + 1)
        yield* emit
        return count + 1
      }))
      assert.deepStrictEqual(yield* there, { changes: ["a"], events })
    }))

  it.effect("is rolled back, and says why, where an event cannot be written: at COMMIT, or at the next statement", () =>
    Effect.gen(function*() {
      yield* business
      const { change, emitAs, sql, transact } = yield* pipelined
      const taken = yield* transact(emitAs(randomUUID()))
      const emit = emitAs(taken)
      const cases: ReadonlyArray<Effect.Effect<unknown, EmitError, Transaction>> = [
        Effect.andThen(change("a"), emit),
        emit,
        Effect.all([change("a"), emit, change("b")]),
        // Whoever looks away from it has not saved the transaction.
        Effect.all([change("a"), emit, Effect.ignore(change("b"))]),
        Effect.all([change("a"), Effect.ignore(Effect.andThen(emit, transact(change("b"))))]),
        Effect.all([emit, Stream.runDrain(sql`SELECT 1`.stream)])
      ]
      for (const self of cases) {
        const error = yield* Effect.flip(transact(self))
        assert.strictEqual(error._tag === "SqlError" ? sqlState(error) : error._tag, "23505")
      }
      assert.deepStrictEqual(yield* there, { changes: [], events: 1 })
    }))

  it.effect("cancels a statement that is interrupted, and is rolled back at once", () =>
    Effect.gen(function*() {
      yield* business
      const { change, emit, sql, transact } = yield* pipelined
      const wait = sql`UPDATE business SET name = name WHERE name = 'held'`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* held
        const cases: ReadonlyArray<Effect.Effect<unknown, EmitError, Transaction>> = [
          wait,
          Effect.andThen(change("a"), wait),
          Effect.all([change("a"), emit, wait])
        ]
        for (const self of cases) {
          const none = yield* Effect.timeoutOption(transact(self), "100 millis").pipe(Effect.timeout("20 seconds"))
          assert.strictEqual(none._tag, "None")
        }
        // The other one is still at it, and nobody else is.
        const rows =
          yield* sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
        assert.lengthOf(rows, 0)
        assert.deepStrictEqual(yield* there, { changes: ["held"], events: 0 })
      }))
    }))

  it.effect("cancels no other statement than the one that is interrupted", () =>
    Effect.gen(function*() {
      yield* business
      const { change, sql, transact } = yield* pipelined
      yield* transact(Effect.gen(function*() {
        const first = yield* Effect.forkChild(sql`SELECT pg_sleep(0.5)`, { startImmediately: true })
        const second = yield* Effect.forkChild(change("never"), { startImmediately: true })
        yield* Fiber.interrupt(second)
        yield* Fiber.join(first)
        yield* change("a")
      }))
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 0 })
    }))

  it.effect("is over for whoever still holds it when it has ended", () =>
    Effect.gen(function*() {
      yield* business
      const { change, transact } = yield* pipelined
      const mayGoOn = yield* Deferred.make<void>()
      const late = yield* transact(Effect.forkDetach(Effect.andThen(Deferred.await(mayGoOn), change("late"))))
      yield* transact(Effect.gen(function*() {
        yield* change("another's")
        yield* Deferred.succeed(mayGoOn, void 0)
        const error = yield* Effect.flip(Fiber.join(late))
        assert.strictEqual(serverText(error), "the transaction has ended")
      }))
      assert.deepStrictEqual(yield* there, { changes: ["another's"], events: 0 })
    }))

  it.effect("with a BEGIN of its own is as that says", () =>
    Effect.gen(function*() {
      yield* business
      const { change, emit, sql, transact } = yield* pipelined
      const level = yield* transact(Effect.gen(function*() {
        yield* change("a")
        yield* emit
        yield* transact(emit)
        return yield* sql<{ level: string }>`SELECT current_setting('transaction_isolation') AS level`
      })).pipe(Effect.provideService(BeginTransaction, "BEGIN ISOLATION LEVEL SERIALIZABLE"))
      assert.deepStrictEqual(level, [{ level: "serializable" }])
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 2 })
    }))

  it.effect("writes nothing beside itself where the server has forgotten what was prepared", () =>
    Effect.gen(function*() {
      yield* business
      const { change, emit, sql, transact } = yield* pipelined
      yield* Effect.replicateEffect(transact(Effect.andThen(change("before"), emit)), 2, { discard: true })
      // The one that writes events, and not COMMIT.
      const forget = Effect.gen(function*() {
        const [row] = yield* sql<{ name: string }>`
          SELECT name FROM pg_prepared_statements WHERE ltrim(statement, E' \\n') LIKE 'INSERT INTO "zakops"."outbox"%'`
        yield* sql.unsafe(`DEALLOCATE "${row?.name}"`)
      })
      const exit = yield* Effect.exit(transact(Effect.all([change("a"), forget, emit])))
      assert.strictEqual(exit._tag, "Failure")
      assert.deepStrictEqual(yield* there, { changes: ["before", "before"], events: 2 })
      // Each statement that was forgotten fails once.
      yield* Effect.retry(transact(Effect.andThen(change("later"), emit)), { times: 4 })
      assert.deepStrictEqual(yield* there, { changes: ["before", "before", "later"], events: 3 })
    }))

  it.effect("writes nothing when it has been ended behind the client's back", () =>
    Effect.gen(function*() {
      yield* business
      const { change, emit, sql, transact } = yield* pipelined
      for (const late of [change("b"), emit]) {
        const error = yield* Effect.flip(transact(Effect.all([sql`SELECT 1`, sql`COMMIT`, late])))
        assert.strictEqual(error._tag === "SqlError" ? sqlState(error) : error._tag, "25006")
      }
      assert.deepStrictEqual(yield* there, { changes: [], events: 0 })
    }))

  it.effect("changes nothing where BEGIN fails, whatever was sent behind it", () =>
    Effect.gen(function*() {
      yield* business
      const url = yield* TestDatabase.DatabaseUrl
      const pool = yield* PgPool.make({
        url: Redacted.make(url),
        multiplex: true,
        startupParameters: { default_transaction_read_only: "on" }
      })
      const session = yield* pool.get
      const insert = ["INSERT INTO business VALUES ('a')", []] as const
      const refused: typeof session = Object.assign(Object.create(session), {
        query: (text: string, ...rest: []) => session.query(text.startsWith("BEGIN") ? "BEGIN AGAIN" : text, ...rest)
      })
      const open = () => new PipelinedConnection(refused, Effect.void)
      const fails = (self: Effect.Effect<unknown, unknown>) => Effect.map(Effect.flip(self), String)
      const one = open()
      assert.include(yield* fails(one.executeRaw(...insert)), "SqlError")
      assert.include(yield* fails(one.executeRaw("SELECT 1", [])), "SqlError")
      assert.include(yield* fails(one.commit), "SqlError")
      const gathering = open()
      yield* gathering.gather([1], () => [insert])
      assert.include(yield* fails(gathering.commit), "SqlError")
      assert.deepStrictEqual(yield* there, { changes: [], events: 0 })
    }))
})

describe.skipIf(isMissing)("PgBouncer in transaction mode", () => {
  layer(TestDatabase.layer, { excludeTestServices: true })("before a pipelined client", (it) => {
    it.effect("is refused, and the error says what to use there", () =>
      Effect.gen(function*() {
        const url = Redacted.make(yield* startPgBouncer(yield* TestDatabase.DatabaseUrl))
        const error = yield* Effect.flip(
          Effect.flatMap(SqlClient, (sql) => sql.withTransaction(sql`SELECT 1`)).pipe(
            Effect.provide(Layer.fresh(PipelinedPgClient.layer({ url, prepare: false })))
          )
        )
        assert.include(serverText(error), "default_transaction_read_only")
      }))
  })
})
