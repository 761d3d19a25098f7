/** What a database does to its clients: pools that run dry, lost answers, standbys, poolers, connections that hear nothing. Real time. */
import { assert, describe, it as plain, layer } from "@effect/vitest"
import * as PgClient from "@effect/sql-pg/PgClient"
import { startProxy } from "@zakops/bench/proxy"
import { EventStore } from "@zakops/event-store/EventStore"
import * as EventLog from "@zakops/event-store/EventLog"
import { sqlState } from "@zakops/migrations/SqlErrors"
import { Outbox, OutboxProcessor, OutboxWriter, TransactionalPublisher } from "@zakops/outbox"
import { processorClient } from "@zakops/outbox/connecting/ConnectionSettings"
import * as Arr from "effect/Array"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as Strings from "effect/String"
import { randomUUID } from "node:crypto"
import { Added } from "../support/counter.ts"
import { DealMade } from "../support/events.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, entries, eventually, loggedIds, services } from "../support/outbox.ts"
import { isMissing, startPgBouncer } from "../support/pgbouncer.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const settings = { pollInterval: Duration.millis(100), batchSize: 10 }

const intoTheLog = services(settings).pipe(Layer.provideMerge(EventLog.layerPublisher))

/** The outbox and its store over a client of its own. */
const over = (config: PgClient.PgPoolConfig, client = PgClient.layer) =>
  Layer.fresh(EventStore.layer.pipe(Layer.provideMerge(intoTheLog), Layer.provideMerge(client(config))))

const urlOf = Effect.map(TestDatabase.DatabaseUrl, (url) => Redacted.make(url))

const allDelivered = Effect.map(
  entries,
  (rows) => rows.length > 0 && rows.every(({ status }) => status === "delivered")
)

/** The log lines of `self`. */
const linesOf = <A, E, R>(self: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))
    return Effect.provide(self(lines), Logger.layer([logger]), { local: true })
  })

layer(TestDatabase.layer, { excludeTestServices: true })("a database", (it) => {
  it.effect("may be used through a client that renames columns", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const url = yield* urlOf
      const Camel = over({ url, transformResultNames: Strings.snakeToCamel, transformQueryNames: Strings.camelToSnake })
      yield* Effect.gen(function*() {
        const { drain } = yield* OutboxProcessor
        const store = yield* EventStore
        const stream = { aggregateType: "counter", aggregateId: randomUUID() }
        yield* store.write(stream, "noStream", [yield* Added.make({ by: 1 })])
        yield* emitDeals(3)
        assert.deepInclude(yield* drain, { delivered: 4 })
        const [event] = yield* Stream.runCollect(store.read(stream))
        assert.strictEqual(event?.envelope.aggregateId, stream.aggregateId)
      }).pipe(Effect.provide(Camel))
    }))

  it.effect("delivers while the application has used up its pool", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const url = yield* urlOf
      const open = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(over({ url, maxConnections: 1 }))
        const hog = yield* Effect.gen(function*() {
          yield* emitDeals(5)
          const { transact } = yield* TransactionalPublisher
          yield* Effect.forkScoped(
            transact(Effect.andThen(Deferred.succeed(open, void 0), Deferred.await(release)))
          )
          yield* Deferred.await(open)
          const { start } = yield* OutboxProcessor
          yield* start
        }).pipe(Effect.provideContext(context), Effect.forkChild)
        yield* Fiber.join(hog)
        yield* eventually(allDelivered)
        yield* Deferred.succeed(release, void 0)
      }))
    }))

  it.effect("that takes no writes is told of once, not at every try, and again when it does", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const url = yield* urlOf
      yield* Effect.provide(emitDeals(1), over({ url }))
      const [database] = yield* sql<{ name: string }>`SELECT current_database() AS name`
      const readOnly = (setting: string) =>
        Effect.andThen(
          sql.unsafe(`ALTER DATABASE "${database?.name}" SET default_transaction_read_only = ${setting}`),
          sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'zakops outbox processor'`
        )
      const lines = yield* linesOf((lines) =>
        Effect.scoped(Effect.gen(function*() {
          yield* readOnly("on")
          const context = yield* Layer.build(over({ url }))
          yield* Effect.provideContext(Effect.flatMap(OutboxProcessor, ({ start }) => start), context)
          yield* eventually(Effect.sync(() => lines.some((line) => line.includes("standby"))))
          // Tries follow after 250 and 500 ms.
          yield* Effect.sleep("1 second")
          yield* readOnly("off")
          yield* eventually(Effect.sync(() => lines.some((line) => line.includes("works again"))))
          yield* eventually(allDelivered)
          return lines
        }))
      )
      assert.lengthOf(lines.filter((line) => line.includes("takes no writes")), 1)
    }))

  const transactOnce = (answer: string) =>
    Effect.gen(function*() {
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      const event = yield* DealMade.make({ dealId: randomUUID(), title: "a deal" })
      return yield* transact(Effect.as(outbox.emit(event, { correlationId: randomUUID() }), answer))
    })

  for (const [name, client] of TestDatabase.clients) {
    it.effect(`is asked what became of a COMMIT that got no answer, by ${name}`, () =>
      Effect.gen(function*() {
        yield* emptyTables
        const proxy = yield* startProxy(yield* TestDatabase.DatabaseUrl)
        const Through = over({ url: Redacted.make(proxy.url) }, client)
        yield* Effect.gen(function*() {
          proxy.cutAt("COMMIT", "answered")
          assert.strictEqual(yield* transactOnce("committed"), "committed")
          assert.lengthOf(yield* entries, 1)
          proxy.cutAt("COMMIT", "unheard")
          const error = yield* Effect.flip(transactOnce("rolled back"))
          assert.strictEqual(error._tag, "SqlError")
          assert.lengthOf(yield* entries, 1)
        }).pipe(Effect.provide(Through))
      }))
  }

  for (const [name, client] of TestDatabase.clients) {
    it.effect(`knows of a COMMIT that got no answer by what was not rolled back before it, by ${name}`, () =>
      Effect.gen(function*() {
        yield* emptyTables
        const proxy = yield* startProxy(yield* TestDatabase.DatabaseUrl)
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient
          const { join, transact } = yield* TransactionalPublisher
          const outbox = yield* Outbox
          const event = yield* DealMade.make({ dealId: randomUUID(), title: "a deal" })
          const emit = outbox.emit(event, { correlationId: randomUUID() })
          const failing = Effect.andThen(emit, Effect.fail("rolled back"))
          for (
            const [index, both] of [
              Effect.andThen(emit, Effect.ignore(sql.withTransaction(failing))),
              Effect.andThen(emit, Effect.ignore(transact(failing))),
              Effect.andThen(emit, Effect.ignore(sql.withTransaction(join(failing)))),
              Effect.andThen(sql.withTransaction(emit), Effect.ignore(sql.withTransaction(failing))),
              Effect.andThen(emit, transact(Effect.ignore(sql.withTransaction(failing)))),
              Effect.andThen(
                transact(emit),
                Effect.ignore(sql.withTransaction(Effect.andThen(transact(emit), failing)))
              )
            ].entries()
          ) {
            proxy.cutAt("COMMIT", "answered")
            yield* transact(both)
            assert.lengthOf(yield* entries, index + 1)
          }
        }).pipe(Effect.provide(over({ url: Redacted.make(proxy.url) }, client)))
      }))
  }

  for (const [name, client] of TestDatabase.clients) {
    it.effect(`may go away while an event is written on its own, which is then written once, by ${name}`, () =>
      Effect.gen(function*() {
        yield* emptyTables
        const proxy = yield* startProxy(yield* TestDatabase.DatabaseUrl)
        yield* Effect.gen(function*() {
          const { write } = yield* OutboxWriter
          const event = yield* DealMade.make({ dealId: randomUUID(), title: "a deal" })
          for (
            const [word, when] of [["INSERT INTO", "unheard"], ["COMMIT", "unheard"], ["COMMIT", "answered"]] as const
          ) {
            proxy.cutAt(word, when)
            yield* write(event, { correlationId: randomUUID() })
          }
          assert.lengthOf(yield* entries, 3)
        }).pipe(Effect.provide(over({ url: Redacted.make(proxy.url) }, client)))
      }))
  }

  it.effect("may roll back a transaction of the caller's, in which nothing is tried again", () =>
    Effect.gen(function*() {
      const url = yield* urlOf
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient
        const { transact } = yield* TransactionalPublisher
        const store = yield* EventStore
        let runs = 0
        const fails = Effect.suspend(() => {
          runs++
          return sql`DO $$ BEGIN RAISE EXCEPTION 'rolled back' USING ERRCODE = 'serialization_failure'; END $$`
        })
        assert.strictEqual((yield* Effect.flip(transact(fails)))._tag, "SqlError")
        assert.strictEqual(runs, 1)
        assert.strictEqual((yield* Effect.flip(transact(store.transact(fails))))._tag, "SqlError")
        assert.strictEqual(runs, 2)
        // Its own, on the other hand, is: 10 times more.
        yield* Effect.flip(store.transact(fails))
        assert.strictEqual(runs, 13)
      }).pipe(Effect.provide(over({ url })))
    }))

  it.effect("gives up a statement of the processor's that takes too long, and none of the application's", () =>
    Effect.gen(function*() {
      const url = yield* urlOf
      const env = ConfigProvider.layer(ConfigProvider.fromUnknown({ OUTBOX_STATEMENT_TIMEOUT: "1" }))
      yield* Effect.scoped(Effect.gen(function*() {
        const own = yield* SqlClient
        const processors = yield* processorClient
        yield* own`SELECT pg_sleep(1.2)`
        const error = yield* Effect.flip(processors`SELECT pg_sleep(30)`)
        assert.strictEqual(sqlState(error), "57014")
      })).pipe(Effect.provide(Layer.merge(env, PgClient.layer({ url }))))
    }))

  it.effect("may roll back an event whose id somebody else has taken, which is not told as written then", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const url = yield* urlOf
      const [id] = yield* Effect.provide(emitDeals(1), over({ url }))
      yield* sql`CREATE SEQUENCE insertions`
      yield* sql`CREATE FUNCTION roll_back_once() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF nextval('insertions') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = 'serialization_failure'; END IF;
          RETURN NEW;
        END $$`
      yield* sql`CREATE TRIGGER roll_back_once BEFORE INSERT ON zakops.outbox FOR EACH ROW EXECUTE FUNCTION roll_back_once()`
      yield* Effect.gen(function*() {
        const { write } = yield* OutboxWriter
        const event = yield* DealMade.make({ dealId: randomUUID(), title: "another deal" })
        const error = yield* Effect.flip(write(event, { correlationId: randomUUID(), id: id ?? "" }))
        assert.strictEqual(error._tag === "SqlError" ? error.reason._tag : error._tag, "UniqueViolation")
        // Of an id of its own it is rolled back once, and written by the second try.
        yield* sql`SELECT setval('insertions', 1, false)`
        yield* write(event, { correlationId: randomUUID() })
      }).pipe(
        Effect.provide(over({ url })),
        Effect.ensuring(Effect.orDie(sql`DROP TRIGGER roll_back_once ON zakops.outbox`))
      )
      assert.lengthOf(yield* entries, 2)
    }))

  it.effect("is listened to anew by a listener whose LISTEN is not answered, or that does not hear its own call", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* emptyTables
      const proxy = yield* startProxy(yield* TestDatabase.DatabaseUrl)
      proxy.deafenAt("LISTEN")
      const url = yield* urlOf
      yield* linesOf((lines) =>
        Effect.scoped(Effect.gen(function*() {
          // Only the listener goes through the proxy.
          const direct = ConfigProvider.layer(ConfigProvider.fromUnknown({ DIRECT_URL: proxy.url }))
          const Patient = services({ ...settings, pollInterval: Duration.hours(1) }).pipe(
            Layer.provideMerge(EventLog.layerPublisher),
            Layer.provideMerge(PgClient.layer({ url }))
          )
          const context = yield* Layer.build(Layer.fresh(Patient).pipe(Layer.provide(direct)))
          yield* Effect.provideContext(Effect.flatMap(OutboxProcessor, ({ start }) => start), context).pipe(
            Effect.provide(direct)
          )
          const deafnesses = () => lines.filter((line) => line.includes("not hearing anything")).length
          // What it does not hear is the answer to its LISTEN.
          yield* eventually(Effect.sync(() => deafnesses() === 1), 30)
          yield* eventually(Effect.map(
            sql`SELECT FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE '% listener' AND query ILIKE 'listen%' AND state = 'idle'`,
            (rows) => rows.length === 1
          ))
          yield* Effect.sleep("100 millis")
          proxy.deafen()
          yield* eventually(Effect.sync(() => deafnesses() === 2), 30)
          yield* eventually(Effect.sync(() => proxy.connections() === 1))
          yield* Effect.sleep("200 millis")
          const elsewhere = yield* Layer.build(over({ url }))
          yield* Effect.provideContext(emitDeals(1), elsewhere)
          yield* eventually(Effect.map(loggedIds, (ids) => ids.length === 1))
        }))
      )
    }))
})

describe.skipIf(isMissing)("PgBouncer in transaction mode", () => {
  layer(TestDatabase.layer, { excludeTestServices: true })("in front of the database", (it) => {
    const pooled = (env: Record<string, string>) =>
      ConfigProvider.layer(ConfigProvider.fromUnknown({ OUTBOX_POOLER: "transaction", ...env }))

    const work = Effect.gen(function*() {
      yield* emptyTables
      const direct = yield* TestDatabase.DatabaseUrl
      const url = Redacted.make(yield* startPgBouncer(direct))
      const External = services(settings).pipe(
        Layer.provideMerge(FakePublisher.layer),
        Layer.provideMerge(PgClient.layer({ url, prepare: false }))
      )
      return { direct, External: Layer.fresh(External), Log: over({ url, prepare: false }) }
    })

    it.effect("serves emit, delivery of both kinds, order, and the event store", () =>
      Effect.gen(function*() {
        const { External, Log } = yield* work
        const env = pooled({})
        yield* Effect.gen(function*() {
          const { drain } = yield* OutboxProcessor
          const store = yield* EventStore
          yield* Effect.all(Arr.replicate(emitDeals(4), 10), { concurrency: "unbounded" })
          yield* Effect.all(Arr.replicate(emitDeals(4, { orderingKey: "k" }), 5), { concurrency: "unbounded" })
          const stream = { aggregateType: "counter", aggregateId: randomUUID() }
          const writes = Arr.replicate(store.write(stream, "any", [yield* Added.make({ by: 1 })]), 20)
          yield* Effect.all(writes, { concurrency: "unbounded" })
          assert.deepInclude(yield* drain, { delivered: 80 })
          assert.lengthOf(yield* Stream.runCollect(store.read(stream)), 20)
        }).pipe(Effect.provide(Log.pipe(Layer.provide(env))))
        yield* Effect.gen(function*() {
          const fake = yield* FakePublisher
          const { drain } = yield* OutboxProcessor
          yield* emitDeals(30)
          assert.deepInclude(yield* drain, { delivered: 30 })
          assert.lengthOf(fake.calls, 30)
        }).pipe(Effect.provide(External.pipe(Layer.provide(env))))
      }))

    it.effect("keeps nobody from listening past it, and without an address for that says so and polls", () =>
      Effect.gen(function*() {
        const { direct, Log } = yield* work
        yield* linesOf((lines) =>
          Effect.scoped(Effect.gen(function*() {
            const env = pooled({})
            const context = yield* Layer.build(Log.pipe(Layer.provide(env)))
            yield* Effect.provideContext(Effect.flatMap(OutboxProcessor, ({ start }) => start), context).pipe(
              Effect.provide(env)
            )
            assert.isTrue(lines.some((line) => line.includes("DIRECT_URL is not set")))
            yield* emitDeals(1)
            yield* eventually(allDelivered)
          })).pipe(Effect.provide(over({ url: Redacted.make(direct) })))
        )
        const sql = yield* SqlClient
        yield* Effect.scoped(Effect.gen(function*() {
          const env = pooled({ DIRECT_URL: direct })
          const context = yield* Layer.build(Log.pipe(Layer.provide(env)))
          yield* Effect.provideContext(Effect.flatMap(OutboxProcessor, ({ start }) => start), context).pipe(
            Effect.provide(env)
          )
          yield* eventually(Effect.map(
            sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'zakops_outbox listener'`,
            (rows) => rows.length === 1
          ))
        }))
      }))
  })
})

describe("DIRECT_URL", () => {
  plain.effect("that is none is refused, and not shown", () =>
    Effect.gen(function*() {
      const { connectionSettings } = yield* Effect.promise(() => import("@zakops/outbox/connecting/ConnectionSettings"))
      const env = ConfigProvider.layer(ConfigProvider.fromUnknown({ DIRECT_URL: "mysql://me:secret@host/db" }))
      const error = yield* Effect.flip(Effect.provide(connectionSettings, env))
      assert.include(error.message, "DIRECT_URL is")
      assert.notInclude(error.message, "secret")
    }))
})
