/** What docs/rollout.md, docs/emitting.md and docs/consuming.md show of single options, run. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { RetryAfter } from "@zakops/inbox"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { emitDeals, emptyTables, entries, loggedIds, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { BankIsBusy, charger } from "./consuming.ts"
import { bookOnce, remindOfPrice } from "./emitting.ts"
import { Rollout } from "./rollout.ts"

const Live = services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer))

layer(Live, { excludeTestServices: true })("the options of the pages", (it) => {
  it.effect("delay, expire and count once", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const dealId = randomUUID()
      yield* remindOfPrice(dealId, 1, new Date(Date.now() + 5 * 86_400_000))
      const [row] = yield* sql`SELECT extract(day FROM next_attempt_at - created_at)::int AS days,
        expires_at > next_attempt_at AS worth, ordering_key FROM zakops.outbox`
      assert.deepStrictEqual(row, { days: 2, worth: true, ordering_key: null })
      const clickId = randomUUID()
      assert.strictEqual(yield* bookOnce(dealId, 2, clickId), yield* bookOnce(dealId, 2, clickId))
      assert.lengthOf(yield* entries, 2)
    }))

  it.effect("publish types directly that are not in outbox mode", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const ids = yield* emitDeals(1).pipe(Effect.provide(Layer.fresh(Rollout), { local: true }))
      assert.deepStrictEqual(yield* loggedIds, ids)
      assert.deepStrictEqual(yield* entries, [])
    }))

  it.effect("have a consumer wait as long as the bank says", () =>
    Effect.gen(function*() {
      const { handle } = charger(() => new BankIsBusy({ freeIn: Duration.minutes(3) }))
      const error = yield* Effect.flip(handle({
        id: randomUUID(),
        correlationId: randomUUID(),
        aggregateType: "deal",
        aggregateId: "7",
        eventType: "deal.created",
        schemaVersion: 1,
        data: { dealId: "7", title: "t" },
        traceId: null,
        headers: {},
        createdAt: new Date(0),
        orderingKey: null,
        sequence: null
      }))
      assert.instanceOf(error, RetryAfter)
      assert.deepInclude(error, { duration: Duration.minutes(3) })
    }))
})
