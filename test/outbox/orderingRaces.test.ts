/**
 * The narrow places of order per key, each brought about on purpose: a claim that stands still between its snapshot and its locks while
 * somebody else goes on, and two who finish entries of one key at the same time.
 */
import { assert, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { handBack } from "@zakops/outbox/delivering/attemptDelivery"
import { claimEntries } from "@zakops/outbox/claiming/claimEntries"
import { dueRuns } from "@zakops/outbox/claiming/dueRuns"
import { expireEntries } from "@zakops/outbox/delivering/expireEntries"
import { letForward, lockedKeys } from "@zakops/outbox/claiming/orderingKeys"
import type { ClaimedEntry } from "@zakops/outbox/claiming/OutboxEntry"
import { beginning } from "@zakops/outbox/claiming/Selection"
import { settleAttempts } from "@zakops/outbox/delivering/settleAttempts"
import { settleDelivered } from "@zakops/outbox/delivering/settleEntries"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import { randomUUID } from "node:crypto"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitKeyed, stuckKeys } from "../support/keys.ts"
import { emptyTables, eventually, mainLane, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services().pipe(Layer.provideMerge(FakePublisher.layer), Layer.provideMerge(TestDatabase.layer))
const lease = Duration.seconds(30)
const gateLock = "424242"

layer(Live, { excludeTestServices: true })("entries of a key", (it) => {
  const start = Effect.gen(function*() {
    yield* emptyTables
    const sql = yield* SqlClient
    // As the time of a claim it is asked for after the statement has its snapshot.
    yield* sql.unsafe(
      `CREATE OR REPLACE FUNCTION zakops.when_let_go() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
      BEGIN PERFORM pg_advisory_xact_lock_shared(${gateLock}); RETURN statement_timestamp(); END $$`
    )
    return { sql, db: yield* Database.make }
  })

  const claimAt = (db: Database.Database, time: Fragment, limit = 20) =>
    claimEntries(db, "a worker")(
      dueRuns(db, {
        time,
        route: null,
        limit,
        meet: limit,
        run: limit,
        depth: limit,
        after: beginning,
        bytes: null,
        destination: "anywhere",
        limited: [],
        suspectsApart: true
      }),
      randomUUID(),
      lease
    )
  const claim = (db: Database.Database, limit?: number) => claimAt(db, db.sql.literal("statement_timestamp()"), limit)

  /** A claim that gets its snapshot, then stands still until `meanwhile` has been done. */
  const claimAround = Effect.fnUntraced(function*<A, E, R>(db: Database.Database, meanwhile: Effect.Effect<A, E, R>) {
    const { sql } = db
    const shut = yield* Deferred.make<void>()
    const open = yield* Deferred.make<void>()
    const gate = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
      yield* sql`SELECT pg_advisory_xact_lock(${gateLock}::bigint)`
      yield* Deferred.succeed(shut, void 0)
      yield* Deferred.await(open)
    })))
    yield* Deferred.await(shut)
    const claimer = yield* Effect.forkChild(claimAt(db, sql.literal("zakops.when_let_go()")))
    yield* eventually(waits)
    yield* meanwhile
    yield* Deferred.succeed(open, void 0)
    yield* Fiber.join(gate)
    return yield* Fiber.join(claimer)
  })

  const waits = Effect.flatMap(
    SqlClient,
    (sql) =>
      Effect.map(
        sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        (rows) => rows.length > 0
      )
  )

  const taken = ({ entries }: { readonly entries: ReadonlyArray<ClaimedEntry> }) =>
    entries.toSorted((a, b) => a.seq - b.seq).map(({ id }) => id)

  it.effect("are not taken without the first, when that was held and handed back meanwhile", () =>
    Effect.gen(function*() {
      const { db } = yield* start
      const ids = yield* emitKeyed(["a", "a", "a"])
      const late = yield* claimAround(
        db,
        Effect.gen(function*() {
          const { entries } = yield* claim(db, 1)
          yield* settleAttempts(db, "anywhere", mainLane(), (statement) => statement)(
            entries.map((entry) => handBack(entry, true))
          )
        })
      )
      assert.deepStrictEqual(taken(late), [])
      assert.deepStrictEqual(yield* stuckKeys, [])
      assert.deepStrictEqual(taken(yield* claim(db)), [...ids])
    }))

  it.effect("are not taken with a gap, when one in the middle has changed meanwhile", () =>
    Effect.gen(function*() {
      const { db, sql } = yield* start
      const [first = "", second = ""] = yield* emitKeyed(["a", "a", "a"])
      const run = yield* claimAround(db, sql`UPDATE zakops.outbox SET waits_for = 'key' WHERE id = ${second}::uuid`)
      assert.deepStrictEqual(taken(run), [first])
      assert.deepStrictEqual(yield* stuckKeys, [])
    }))

  it.effect("are let forward when the first is delivered while the second is declared dead", () =>
    Effect.gen(function*() {
      const { db, sql } = yield* start
      const [, second = "", third = ""] = yield* emitKeyed(["a", "a", "a"])
      yield* sql`UPDATE zakops.outbox SET on_dead = 'skip'`
      const { entries } = yield* claim(db, 1)
      yield* claim(db)
      yield* sql`UPDATE zakops.outbox SET expires_at = statement_timestamp() WHERE id = ${second}::uuid`
      const dead = yield* Deferred.make<void>()
      const commit = yield* Deferred.make<void>()
      const expirer = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
        yield* expireEntries(db, "anywhere")
        yield* Deferred.succeed(dead, void 0)
        yield* Deferred.await(commit)
      })))
      yield* Deferred.await(dead)
      const settler = yield* Effect.forkChild(settleDelivered(db, mainLane())(entries))
      yield* eventually(waits)
      yield* Deferred.succeed(commit, void 0)
      yield* Fiber.join(expirer)
      yield* Fiber.join(settler)
      assert.deepStrictEqual(yield* stuckKeys, [])
      assert.deepStrictEqual(taken(yield* claim(db)), [third])
    }))

  it.effect("are not set aside behind one that was the first and goes to the end meanwhile", () =>
    Effect.gen(function*() {
      const { db, sql } = yield* start
      const [head = "", ...rest] = yield* emitKeyed(["a", "a", "a"])
      yield* sql`UPDATE zakops.outbox SET status = 'dead', blocks = true WHERE id = ${head}::uuid`
      yield* claimAround(
        db,
        sql.withTransaction(Effect.gen(function*() {
          yield* sql`SELECT FROM ${lockedKeys(db, ["a"])}`
          yield* sql`UPDATE zakops.outbox SET seq = DEFAULT, status = 'pending', attempts = 0, blocks = false WHERE id = ${head}::uuid`
          yield* letForward(db)([{ key: "a" }])
        }))
      )
      assert.deepStrictEqual(yield* stuckKeys, [])
      assert.deepStrictEqual(taken(yield* claim(db)), [...rest, head])
    }))
})
