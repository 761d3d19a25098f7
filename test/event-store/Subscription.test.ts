/** The event log as a source: the contract, and what only a log with commits that overtake each other has to stand. */
import { assert, layer } from "@effect/vitest"
import { retryParked } from "@zakops/event-store/parkedEvents"
import * as Subscription from "@zakops/event-store/Subscription"
import type { EventSource } from "@zakops/events/EventSource"
import * as Database from "@zakops/migrations/Database"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { eventSourceContract, SourceUnderTest } from "../support/eventSourceContract.ts"
import { eventually, moment } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const insert = Effect.fnUntraced(function*(sql: SqlClient, count: number) {
  const ids = Array.from({ length: count }, () => randomUUID())
  for (const id of ids) {
    yield* sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data) VALUES (${id}, ${id}, 'a', '{}')`
  }
  return ids
})

eventSourceContract(
  "the event log as a source",
  Layer.effect(
    SourceUnderTest,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const context = yield* Effect.context<TestDatabase.Client>()
      return {
        open: (name) =>
          Effect.orDie(
            Effect.provideContext(Subscription.make(name, { batchSize: 7, pollInterval: "20 millis" }), context)
          ),
        publish: (count) => Effect.orDie(insert(sql, count)),
        release: (name) =>
          Effect.orDie(Effect.asVoid(Effect.flatMap(Database.make, (db) => retryParked(db, name, "all")))).pipe(
            Effect.provideContext(context)
          )
      }
    })
  ).pipe(Layer.provide(TestDatabase.layer))
)

layer(TestDatabase.layer, { excludeTestServices: true })("a subscription to the log", (it) => {
  /** Collects what comes, for as long as the scope is open. */
  const collect = Effect.fnUntraced(function*(source: EventSource) {
    const ids: Array<string> = []
    yield* Effect.forkScoped(source.consume((batch) =>
      Effect.sync(() => {
        ids.push(...batch.map((event) => event.id))
      })
    ))
    return ids
  })

  it.effect("never skips an event that commits after others with a higher position", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const [inserted, mayCommit] = [yield* Deferred.make<string>(), yield* Deferred.make<void>()]
      const slow = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        const [id = ""] = yield* insert(sql, 1)
        yield* Deferred.succeed(inserted, id)
        yield* Deferred.await(mayCommit)
      })))
      const late = yield* Deferred.await(inserted)
      const early = yield* insert(sql, 5)
      const seen = yield* collect(yield* Subscription.make("late", { pollInterval: "10 millis" }))
      yield* moment(200)
      assert.notInclude(seen, late)
      assert.deepStrictEqual(seen, [], "what could still be overtaken is not handed out")

      yield* Deferred.succeed(mayCommit, void 0)
      yield* Fiber.join(slow)
      yield* eventually(Effect.sync(() => seen.length === 6))
      assert.deepStrictEqual(seen, [late, ...early])
    })))

  it.effect("neither skips nor doubles under many writers that commit and roll back at random", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const seen = yield* collect(yield* Subscription.make("many", { batchSize: 13, pollInterval: "5 millis" }))
      const committed: Array<string> = []
      yield* Effect.forEach(
        Array.from({ length: 120 }, (_, i) => i),
        (i) =>
          Effect.ignore(
            sql.withTransaction(Effect.gen(function*() {
              const ids = yield* insert(sql, 1 + i % 3)
              yield* moment((i * 7) % 20)
              if (i % 5 === 0) return yield* Effect.fail("rolled back")
              ids.push(...(yield* insert(sql, 1)))
              return ids
            })).pipe(Effect.tap((ids) => Effect.sync(() => committed.push(...ids))))
          ),
        { concurrency: 6 }
      )
      const ours = new Set(committed)
      yield* eventually(Effect.sync(() => seen.filter((id) => ours.has(id)).length >= committed.length))
      yield* moment(50)
      assert.strictEqual(new Set(seen).size, seen.length)
      assert.sameMembers(seen.filter((id) => ours.has(id)), committed)
    })))

  it.effect("is woken by the log's notification rather than by its poll, also after its connection was killed", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const seen = yield* collect(yield* Subscription.make("woken", { pollInterval: Duration.hours(1) }))
      const listeners = sql<{ pid: number }>`SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'zakops_events listener' AND query LIKE 'LISTEN%'`
      yield* eventually(Effect.map(listeners, (rows) => rows.length > 0))
      yield* moment(50)
      const [first = ""] = yield* insert(sql, 1)
      yield* sql`SELECT pg_notify('zakops_events', '')`
      yield* eventually(Effect.sync(() => seen.includes(first)))

      yield* Effect.forEach(yield* listeners, ({ pid }) => sql`SELECT pg_terminate_backend(${pid})`)
      const [second = ""] = yield* insert(sql, 1)
      yield* eventually(Effect.sync(() => seen.includes(second)))
    })))

  it.effect("does not wait for its poll when a transaction ends that held events back and wrote none itself", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const seen = yield* collect(yield* Subscription.make("held back", { pollInterval: Duration.hours(1) }))
      const [began, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const other = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT pg_current_xact_id()::text`
        yield* Deferred.succeed(began, void 0)
        yield* Deferred.await(mayEnd)
      })))
      yield* Deferred.await(began)
      const [id = ""] = yield* insert(sql, 1)
      yield* sql`SELECT pg_notify('zakops_events', '')`
      yield* moment(100)
      assert.notInclude(seen, id)
      yield* Deferred.succeed(mayEnd, void 0)
      yield* Fiber.join(other)
      yield* eventually(Effect.sync(() => seen.includes(id)))
    })))

  it.effect("reads what an earlier system left in the log, which has neither correlation id nor time", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const id = randomUUID()
      yield* sql`INSERT INTO zakops.agent_events (id, headers) VALUES (${id}, '[1]')`
      const seen = yield* collect(yield* Subscription.make("old", { pollInterval: "10 millis" }))
      yield* eventually(Effect.sync(() => seen.includes(id)))
    })))
})
