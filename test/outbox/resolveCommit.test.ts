/** What has become of a transaction is asked by the id of an entry that it has written, and leaves nothing behind. */
import { assert, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { migrate } from "@zakops/migrations/Migrations"
import { sqlState } from "@zakops/migrations/SqlErrors"
import { outsideTransaction } from "@zakops/outbox/emitting/outsideTransaction"
import { tokenOf, wasCommitted } from "@zakops/outbox/emitting/resolveCommit"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { entries, eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Migrated = Layer.provideMerge(Layer.effectDiscard(migrate), TestDatabase.layer)

layer(Migrated, { excludeTestServices: true })("what has become of a transaction", (it) => {
  /** A transaction that has written an entry, and does not end before it is let go; what `ask` is answered meanwhile. */
  const during = <A, E, R>(
    end: Effect.Effect<void, string>,
    ask: (db: Database.Database, id: string, letGo: Effect.Effect<unknown>) => Effect.Effect<A, E, R>
  ) =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const db = yield* Database.make
      const id = randomUUID()
      const written = yield* Deferred.make<void>()
      const mayEnd = yield* Deferred.make<void>()
      const other = yield* Effect.forkChild(Effect.exit(sql.withTransaction(Effect.gen(function*() {
        yield* sql`INSERT INTO zakops.outbox (id, correlation_id) VALUES (${id}, ${id})`
        yield* Deferred.succeed(written, void 0)
        yield* Deferred.await(mayEnd)
        yield* end
      }))))
      yield* Deferred.await(written)
      const answer = yield* outsideTransaction(sql)(ask(db, id, Deferred.succeed(mayEnd, void 0)))
      yield* Fiber.join(other)
      return { answer, there: (yield* entries).filter((entry) => entry.id === id).length }
    })

  const waitedFor = Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* eventually(Effect.map(
      sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'`,
      (rows) => rows.length > 0
    ))
  })

  for (
    const [name, end, isCommitted] of [
      ["committed", Effect.void, true],
      ["rolled back", Effect.fail("rolled back"), false]
    ] as const
  ) {
    it.effect(`is waited for, until it is ${name}`, () =>
      Effect.gen(function*() {
        const { answer, there } = yield* during(end, (db, id, letGo) =>
          Effect.gen(function*() {
            const asking = yield* Effect.forkChild(wasCommitted([tokenOf(db, id)]))
            yield* waitedFor
            yield* letGo
            return yield* Fiber.join(asking)
          }))
        assert.strictEqual(answer, isCommitted)
        assert.strictEqual(there, isCommitted ? 1 : 0)
      }))
  }

  it.effect("is asked again where the connection that asks is lost as well", () =>
    Effect.gen(function*() {
      const { answer, there } = yield* during(Effect.void, (db, id, letGo) =>
        Effect.gen(function*() {
          const asking = yield* Effect.forkChild(wasCommitted([tokenOf(db, id)]))
          yield* waitedFor
          yield* db.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'transactionid'`
          yield* letGo
          return yield* Fiber.join(asking)
        }))
      assert.isTrue(answer)
      assert.strictEqual(there, 1)
    }))

  it.effect("cannot be told while its session is still at it, which is no answer", () =>
    Effect.gen(function*() {
      const { answer, there } = yield* during(Effect.void, (db, id, letGo) =>
        Effect.ensuring(Effect.flip(tokenOf(db, id)), letGo))
      assert.strictEqual(sqlState(answer), "55P03")
      assert.strictEqual(there, 1)
    }))
})
