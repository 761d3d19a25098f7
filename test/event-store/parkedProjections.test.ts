/** Parked events of a projection that are discarded at the wrong moment, or left behind nothing. */
import { assert, layer } from "@effect/vitest"
import { discardParked, retryParked } from "@zakops/event-store/parkedEvents"
import * as Projection from "@zakops/event-store/Projection"
import { run } from "@zakops/event-store/runProjection"
import * as Database from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Added } from "../support/counter.ts"
import { emptyTables, eventually } from "../support/outbox.ts"
import { happen, OnLog, parkedOf } from "../support/projections.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const quick = { pollInterval: "20 millis", batchSize: 5 } as const

layer(OnLog, { excludeTestServices: true })("parked events of a projection", (it) => {
  it.effect("that were read behind one that is discarded at that moment are handled, and not parked behind nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const db = yield* Database.make
      const other = yield* TestDatabase.otherClient
      const handled: Array<number> = []
      const projection = Projection.make({
        name: "orphans",
        onFailure: "park",
        handlers: [
          Projection.on(
            Added,
            ({ data }) => data.by === 13 ? Effect.fail("no") : Effect.sync(() => handled.push(data.by))
          )
        ]
      })
      const counter = randomUUID()
      yield* happen(counter, 13)
      yield* Effect.forkScoped(run(projection, quick))
      yield* eventually(Effect.map(parkedOf(projection), (parked) => parked.length === 1))
      yield* other.withTransaction(Effect.gen(function*() {
        // The page is read, and cannot be handled yet.
        yield* other`LOCK TABLE zakops.checkpoints IN SHARE MODE`
        yield* happen(counter, 1)
        yield* eventually(Effect.map(
          sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND query LIKE '%SET xid%'`,
          (waiting) => waiting.length > 0
        ))
        assert.strictEqual(yield* discardParked(db, Projection.subscriptionOf(projection), "all"), 1)
      }))
      yield* happen(counter, 2)
      yield* eventually(Effect.sync(() => handled.length === 2))
      assert.deepStrictEqual(handled, [1, 2])
      assert.lengthOf(yield* parkedOf(projection), 0)
    })))

  it.effect("that wait behind nothing, since an older build left them so, are revived by a retry", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const db = yield* Database.make
      const handled: Array<number> = []
      const projection = Projection.make({
        name: "left",
        onFailure: "park",
        handlers: [
          Projection.on(
            Added,
            ({ data }) => data.by === 13 ? Effect.fail("no") : Effect.sync(() => handled.push(data.by))
          )
        ]
      })
      yield* happen(randomUUID(), 13, 1, 2)
      yield* Effect.forkScoped(run(projection, quick))
      yield* eventually(Effect.map(parkedOf(projection), (parked) => parked.length === 3))
      yield* sql`DELETE FROM zakops.parked_events WHERE reason = 'failed'`
      assert.strictEqual(yield* retryParked(db, Projection.subscriptionOf(projection), "all"), 1)
      yield* eventually(Effect.sync(() => handled.length === 2))
      assert.deepStrictEqual(handled, [1, 2])
    })))
})
