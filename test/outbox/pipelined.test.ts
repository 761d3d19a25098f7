/** Transactions that send what nobody waits for along with what comes next: as others, in fewer round trips, whatever fails. Real time. */
import type { PgPoolConfig } from "@effect/sql-pg/PgClient"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { assert, describe, layer } from "@effect/vitest"
import { startProxy } from "@zakops/bench/proxy"
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
import * as Result from "effect/Result"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { BeginTransaction, SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import { Tracer } from "effect/Tracer"
import { randomBytes, randomUUID } from "node:crypto"
import { connect } from "node:net"
import { DealMade } from "../support/events.ts"
import { emptyBusiness, entries, eventually, services } from "../support/outbox.ts"
import { recordingTracer } from "../support/recordingTracer.ts"
import { slowCommit } from "../support/slowCommit.ts"
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
  const { join, transact } = Context.get(context, TransactionalPublisher)
  const made = yield* DealMade.make({ dealId: "d", title: "t" })
  const correlationId = randomUUID()
  // The connection is there, and has been looked at.
  yield* sql.withTransaction(sql`SELECT 1`)
  return {
    sql,
    join,
    transact,
    emit: outbox.emit(made, { correlationId }),
    emitAs: (id: string) => outbox.emit(made, { correlationId, id }),
    emitBad: outbox.emit(yield* DealMade.make({ dealId: "d", title: "bad" }), { correlationId }),
    emitWithKey: outbox.emit(made, { correlationId, orderingKey: "k" }),
    change: (name: string) => sql`INSERT INTO business VALUES (${name})`,
    writesOf: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        const before = writes
        return Effect.map(self, () => writes - before)
      })
  }
})

/** A pipelined client, or one of another kind, for as long as the scope is open. */
const clientOf = (config: PgPoolConfig, client = PipelinedPgClient.layer) =>
  Effect.map(Layer.build(Layer.fresh(client(config))), (context) => Context.get(context, SqlClient))

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
      yield* emptyBusiness
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
      yield* emptyBusiness
      const { emit, emitAs, sql, transact } = yield* pipelined
      const given = randomUUID()
      const [count, ids, seen] = yield* transact(Effect.gen(function*() {
        const before = [yield* emit, yield* emit]
        const [row] = yield* sql<{ count: number }>`SELECT count(*)::int FROM zakops.outbox`
        const ids = [...before, yield* emit, yield* transact(emit), yield* emit, yield* emitAs(given), yield* emit]
        const rows = yield* Stream.runCollect(sql<{ id: string }>`SELECT id FROM zakops.outbox ORDER BY seq`.stream)
        return [row?.count, ids, rows.map(({ id }) => id)] as const
      }))
      assert.strictEqual(count, 2)
      assert.deepStrictEqual(seen, ids)
      assert.deepStrictEqual((yield* entries).map(({ id }) => id), ids)
    }))

  it.effect("writes as many at once as it may, in parts", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, emit, transact, writesOf } = yield* pipelined
      const writes = yield* writesOf(transact(Effect.andThen(change("a"), Effect.replicateEffect(emit, 2500))))
      // BEGIN and the change; twice a thousand; the rest and COMMIT.
      assert.strictEqual(writes, 4)
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 2500 })
    }))

  it.effect("may emit while it reads a stream, and behind it", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
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
      yield* emptyBusiness
      const { change, emit: good, emitBad: emit, sql, transact } = yield* pipelined
      const test = yield* SqlClient
      yield* test`ALTER TABLE zakops.outbox ADD CONSTRAINT none_bad CHECK (event_data->>'title' <> 'bad')`
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
        assert.strictEqual(error._tag === "SqlError" ? sqlState(error) : error._tag, "23514")
      }
      yield* test`ALTER TABLE zakops.outbox DROP CONSTRAINT none_bad`
      yield* transact(good)
      assert.deepStrictEqual(yield* there, { changes: [], events: 1 })
    }))

  it.effect("cancels a statement that is interrupted, and is rolled back at once", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const test = yield* SqlClient
      const { change, emit, sql, transact } = yield* pipelined
      const wait = sql`UPDATE business SET name = name WHERE name = 'held'`
      const waiting = test`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* held
        const cases: ReadonlyArray<Effect.Effect<unknown, EmitError, Transaction>> = [
          wait,
          Effect.andThen(change("a"), wait),
          Effect.all([change("a"), emit, wait])
        ]
        for (const self of cases) {
          const fiber = yield* Effect.forkChild(transact(self))
          yield* eventually(Effect.map(waiting, (rows) => rows.length === 1))
          yield* Effect.timeout(Fiber.interrupt(fiber), "20 seconds")
          assert.lengthOf(yield* waiting, 0)
        }
        assert.deepStrictEqual(yield* there, { changes: ["held"], events: 0 })
      }))
    }))

  it.effect("loses nothing of what it goes on with, wherever a statement of it was interrupted", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, emit, sql, transact } = yield* pipelined
      let committed = 0
      for (let ops = 4; ops < 110; ops += 3) {
        const exit = yield* Effect.exit(transact(Effect.gen(function*() {
          yield* change("a")
          yield* emit
          // The scheduler takes turns after so many steps, and the interruption comes in between.
          const fiber = yield* Effect.forkChild(Effect.provideService(sql`SELECT 1`, MaxOpsBeforeYield, ops), {
            startImmediately: true
          })
          yield* Fiber.interrupt(fiber)
        })))
        // Cancelled, it has ended the transaction.
        if (exit._tag === "Success") committed++
        assert.deepStrictEqual(yield* there, {
          changes: Array.from({ length: committed }, () => "a"),
          events: committed
        })
      }
      assert.isAbove(committed, 0)
    }))

  it.effect("leaves a session that does not give a statement up", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const proxy = yield* startProxy(yield* TestDatabase.DatabaseUrl)
      const sql = yield* clientOf({ url: Redacted.make(proxy.url), maxConnections: 1 })
      yield* sql.withTransaction(sql`SELECT 1`)
      const unanswered = Effect.andThen(
        sql`SELECT 1`,
        Effect.suspend(() => {
          proxy.deafen()
          return sql`SELECT 1`
        })
      )
      const nested = sql.withTransaction(sql.withTransaction(unanswered))
      const none = yield* Effect.timeoutOption(nested, "100 millis").pipe(Effect.timeout("9 seconds"))
      assert.strictEqual(none._tag, "None")
      yield* sql.withTransaction(sql`INSERT INTO business VALUES ('a')`)
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 0 })
    }))

  it.effect("needs no type of Postgres to be as it comes", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const url = Redacted.make(yield* TestDatabase.DatabaseUrl)
      const types = PgTypes.makeRegistry()
      for (const oid of [16, 23, 25]) {
        types.register(oid, {
          encode: () => Result.succeed(new Uint8Array()),
          decode: () => Result.succeed("strange")
        })
      }
      const sql = yield* clientOf({ url, types })
      yield* sql.withTransaction(sql`INSERT INTO business VALUES ('a')`)
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 0 })
    }))

  it.effect("cancels also where the server has room for no further connection", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const test = yield* SqlClient
      const url = new URL(yield* TestDatabase.DatabaseUrl)
      url.username = `limited_${randomBytes(4).toString("hex")}`
      url.password = "limited"
      yield* Effect.acquireRelease(
        test`CREATE ROLE ${test(url.username)} LOGIN CONNECTION LIMIT 2 PASSWORD 'limited'`,
        () => Effect.orDie(test`DROP ROLE ${test(url.username)}`)
      )
      const sql = yield* clientOf({ url: Redacted.make(url.toString()), maxConnections: 1 })
      yield* sql`SELECT 1`
      const none = yield* Effect.timeoutOption(sql.withTransaction(sql`SELECT pg_sleep(20)`), "200 millis").pipe(
        Effect.timeout("4 seconds")
      )
      assert.strictEqual(none._tag, "None")
      yield* sql.withTransaction(sql`SELECT 1`)
    }))

  it.effect("gives a statement up that waits for a stream to end, and not the stream", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, sql, transact } = yield* pipelined
      const count = yield* transact(Effect.gen(function*() {
        const read = sql`SELECT n FROM generate_series(1, 2000) AS n`.stream
        const rows = yield* Stream.runCollect(
          Stream.tap(read, ({ n }) => n === 7 ? Effect.timeoutOption(sql`SELECT 1`, "50 millis") : Effect.void)
        )
        yield* change("a")
        return rows.length
      }))
      assert.strictEqual(count, 2000)
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 0 })
    }))

  it.effect("fails where its connection is lost, at BEGIN or before, as any other", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const proxy = yield* startProxy(yield* TestDatabase.DatabaseUrl)
      const sql = yield* clientOf({ url: Redacted.make(proxy.url), maxConnections: 1 })
      const change = sql.withTransaction(sql`INSERT INTO business VALUES ('a')`)
      for (const word of ["BEGIN", "INSERT", "COMMIT"]) {
        proxy.cutAt(word, "unheard")
        assert.strictEqual((yield* Effect.flip(change)).reason._tag, "ConnectionError")
      }
      yield* change
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 0 })
    }))

  it.effect("is rolled back where COMMIT fails, and its connection is as good as new", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const test = yield* SqlClient
      const { change, emit, sql, transact } = yield* pipelined
      yield* test`CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`
      const error = yield* Effect.flip(
        transact(Effect.all([change("a"), emit, sql`INSERT INTO late VALUES (1), (1)`, emit]))
      )
      assert.strictEqual(error._tag === "SqlError" ? sqlState(error) : error._tag, "23505")
      yield* transact(Effect.all([change("b"), emit]))
      assert.deepStrictEqual(yield* there, { changes: ["b"], events: 1 })
    }))

  it.effect("lets a tracer see each statement", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, emit, transact, writesOf } = yield* pipelined
      const { spans, tracer } = recordingTracer()
      const traced = Effect.provideService(transact(Effect.andThen(change("a"), emit)), Tracer, tracer)
      assert.strictEqual(yield* writesOf(traced), 3)
      assert.lengthOf(spans.filter(({ name }) => name === "postgres"), 2)
    }))

  it.effect("writes only where an ordinary transaction might", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const url = Redacted.make(yield* TestDatabase.DatabaseUrl)
      for (const [, client] of TestDatabase.clients) {
        const sql = yield* clientOf({ url, startupParameters: { default_transaction_read_only: "on" } }, client)
        const error = yield* Effect.flip(sql.withTransaction(sql`INSERT INTO business VALUES ('a')`))
        assert.strictEqual(sqlState(error), "25006")
        assert.lengthOf(yield* sql.withTransaction(sql`SELECT 1`), 1)
      }
    }))

  it.effect("cancels no other statement than the one that is interrupted", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
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

  it.effect("is over for whoever still holds it when it has ended, or is at its COMMIT", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, emit, join, sql, transact } = yield* pipelined
      const mayGoOn = yield* Deferred.make<void>()
      const later = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.forkDetach(Effect.andThen(Deferred.await(mayGoOn), self))
      const late = [
        yield* transact(later(change("late"))),
        yield* sql.withTransaction(join(Effect.andThen(emit, later(join(emit))))),
        yield* sql.withTransaction(Effect.andThen(sql`SELECT 1`, later(Stream.runDrain(sql`SELECT 1`.stream))))
      ]
      yield* transact(Effect.gen(function*() {
        yield* change("another's")
        yield* Deferred.succeed(mayGoOn, void 0)
        for (const fiber of late) {
          const error = yield* Effect.flip(Fiber.join(fiber as Fiber.Fiber<unknown, SqlError>))
          assert.strictEqual(serverText(error), "the transaction has ended")
        }
      }))
      assert.deepStrictEqual(yield* there, { changes: ["another's"], events: 1 })

      const outlives = yield* transact(Effect.andThen(
        change("outer"),
        Effect.forkDetach(transact(Effect.andThen(change("inner"), Effect.sleep("150 millis"))), {
          startImmediately: true
        })
      ))
      yield* transact(Effect.all([change("b"), Effect.sleep("300 millis"), change("c")]))
      assert.strictEqual((yield* Fiber.await(outlives))._tag, "Failure")
      assert.includeMembers((yield* there).changes, ["b", "c"])
      yield* emptyBusiness

      const slow = yield* slowCommit(0.3)
      const text = yield* sql.withTransaction(Effect.andThen(
        sql.unsafe(...slow.compile()),
        join(Effect.andThen(emit, Effect.forkDetach(Effect.andThen(Effect.sleep("100 millis"), join(emit)))))
      )).pipe(
        Effect.flatMap((fiber) => Effect.flip(Fiber.join(fiber as Fiber.Fiber<unknown, SqlError>))),
        Effect.map(serverText)
      )
      assert.strictEqual(text, "the transaction has ended")
      assert.deepStrictEqual(yield* there, { changes: [], events: 1 })
    }))

  it.effect("does not cancel what another does, where its own statement had ended by itself", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, sql } = yield* pipelined
      for (let n = 0; n < 30; n++) {
        yield* Effect.ignore(sql.withTransaction(Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(sql`SELECT pg_sleep(${0.018 + n / 5000})`, { startImmediately: true })
          yield* Effect.sleep("20 millis")
          yield* Effect.forkDetach(Fiber.interrupt(fiber))
          return yield* Effect.fail("no")
        })))
        yield* sql.withTransaction(Effect.andThen(change(String(n)), sql`SELECT pg_sleep(0.005)`))
      }
      assert.lengthOf((yield* there).changes, 30)
    }))

  it.effect("gives up what was deferred where that waits for a lock, unless it goes with COMMIT", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const test = yield* SqlClient
      const { change, emit, sql, transact } = yield* pipelined
      const waiting = test`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
      yield* Effect.scoped(Effect.gen(function*() {
        const isLocked = yield* Deferred.make<void>()
        yield* Effect.forkScoped(test.withTransaction(Effect.gen(function*() {
          yield* test`LOCK TABLE zakops.outbox`
          yield* Deferred.succeed(isLocked, void 0)
          return yield* Effect.never
        })))
        yield* Deferred.await(isLocked)
        const cases: ReadonlyArray<Effect.Effect<unknown, EmitError, Transaction>> = [
          Effect.replicateEffect(emit, 1000),
          Effect.andThen(emit, Stream.runDrain(sql`SELECT 1`.stream)),
          Effect.andThen(emit, transact(change("b"))),
          Effect.andThen(emit, change("b"))
        ]
        for (const self of cases) {
          const fiber = yield* Effect.forkChild(transact(Effect.andThen(change("a"), self)))
          yield* eventually(Effect.map(waiting, (rows) => rows.length === 1))
          yield* Effect.timeout(Fiber.interrupt(fiber), "4 seconds")
        }
      }))
      assert.deepStrictEqual(yield* there, { changes: [], events: 0 })
    }))

  it.effect("fails with why an event could not be written also where that shows in a savepoint of another fiber", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, emitAs, transact } = yield* pipelined
      const taken = yield* transact(emitAs(randomUUID()))
      const error = yield* Effect.flip(transact(Effect.all([
        Effect.andThen(Effect.sleep("50 millis"), emitAs(taken)),
        transact(Effect.andThen(change("a"), Effect.sleep("150 millis")))
      ], { concurrency: "unbounded" })))
      assert.strictEqual(error._tag === "SqlError" ? sqlState(error) : error._tag, "23505")
      assert.deepStrictEqual(yield* there, { changes: [], events: 1 })
    }))

  it.effect("with a BEGIN of its own is as that says", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
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
      yield* emptyBusiness
      const { change, emit, sql, transact } = yield* pipelined
      yield* Effect.replicateEffect(transact(Effect.andThen(change("before"), emit)), 2, { discard: true })
      const exit = yield* Effect.exit(transact(Effect.all([change("a"), sql`DEALLOCATE ALL`, emit])))
      assert.strictEqual(exit._tag, "Failure")
      assert.deepStrictEqual(yield* there, { changes: ["before", "before"], events: 2 })
      // Each statement that was forgotten fails once, and COMMIT leaves no transaction open.
      yield* Effect.retry(transact(Effect.andThen(change("later"), emit)), { times: 1 })
      assert.deepStrictEqual(yield* there, { changes: ["before", "before", "later"], events: 3 })
    }))

  it.effect("writes nothing when it has been ended behind the client's back", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const { change, emit, sql, transact } = yield* pipelined
      for (const late of [change("b"), emit]) {
        const error = yield* Effect.flip(transact(Effect.all([sql`SELECT 1`, sql`COMMIT`, late])))
        assert.strictEqual(error._tag === "SqlError" ? sqlState(error) : error._tag, "25006")
      }
      assert.deepStrictEqual(yield* there, { changes: [], events: 0 })
    }))

  it.effect("changes nothing where BEGIN fails, whatever was sent behind it", () =>
    Effect.gen(function*() {
      yield* emptyBusiness
      const url = Redacted.make(yield* TestDatabase.DatabaseUrl)
      const insert = ["INSERT INTO business VALUES ('a')", []] as const
      const over = Effect.fnUntraced(function*(readOnly: "on" | "off") {
        const pool = yield* PgPool.make({
          url,
          multiplex: true,
          startupParameters: { default_transaction_read_only: readOnly }
        })
        const session = yield* pool.get
        return () => new PipelinedConnection(session, "BEGIN AGAIN", Effect.void)
      })
      const open = yield* over("on")
      const failsOf = (self: Effect.Effect<unknown, SqlError>) => Effect.map(Effect.flip(self), sqlState)
      const one = open()
      assert.strictEqual(yield* failsOf(one.executeRaw(...insert)), "42601")
      assert.strictEqual(yield* failsOf(one.executeRaw("SELECT 1", [])), "42601")
      assert.strictEqual(yield* failsOf(one.commit), "42601")
      const deferring = open()
      yield* deferring.defer([1], 1, () => [insert])
      assert.strictEqual(yield* failsOf(deferring.commit), "42601")
      assert.deepStrictEqual(yield* there, { changes: [], events: 0 })
      // That it is read-only is what keeps it.
      const unsafe = (yield* over("off"))()
      assert.strictEqual(yield* failsOf(unsafe.executeRaw(...insert)), "42601")
      assert.deepStrictEqual(yield* there, { changes: ["a"], events: 0 })
    }))
})

describe.skipIf(isMissing)("PgBouncer in transaction mode", () => {
  layer(TestDatabase.layer, { excludeTestServices: true })("before a pipelined client", (it) => {
    it.effect("is refused, and the error says what to use there", () =>
      Effect.gen(function*() {
        const url = Redacted.make(yield* startPgBouncer(yield* TestDatabase.DatabaseUrl))
        const sql = yield* clientOf({ url, prepare: false })
        const error = yield* Effect.flip(sql.withTransaction(sql`SELECT 1`))
        assert.include(serverText(error), "default_transaction_read_only")
      }))
  })
})
