/** Keys that a dead entry holds up: which they are, and how they go on. */
import { assert, layer } from "@effect/vitest"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { BlockedKeys, DeadLetters } from "@zakops/outbox"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { auditRows, putEntries, rowStates } from "../support/deadLetters.ts"
import type { DeadRow } from "../support/deadLetters.ts"
import { emptyTables } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.merge(DeadLetters.layer, BlockedKeys.layer).pipe(
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

const by = "the test"

layer(Live, { excludeTestServices: true })("blocked keys", (it) => {
  const start = Effect.fnUntraced(function*(rows: ReadonlyArray<DeadRow>) {
    yield* emptyTables
    const ids = yield* putEntries(yield* Clock.currentTimeMillis, rows)
    return { ids, keys: yield* BlockedKeys, dead: yield* DeadLetters }
  })

  const waits = (id: string | undefined) =>
    Effect.map(rowStates, (rows) => rows.find((row) => row.id === id)?.waits_for ?? null)

  it.effect("are listed with what holds them up and how much waits behind, counted up to 1,000", () =>
    Effect.gen(function*() {
      const { ids, keys } = yield* start([
        { key: "late", blocks: true, type: "deal.lost", error: "refused", ago: 60 },
        { key: "skips", blocks: false },
        { key: "skips", status: "pending" },
        { key: "hot", blocks: true, ago: 5 },
        { key: "late", status: "pending", waitsFor: "key" },
        ...Array.from({ length: 1200 }, (): DeadRow => ({ key: "hot", status: "pending", waitsFor: "key" }))
      ])
      const { keys: found } = yield* keys.list()
      assert.deepStrictEqual(found.map(({ headId, key, waiting }) => [key, headId, waiting]), [
        ["late", ids[0], 1],
        ["hot", ids[3], 1000]
      ])
      assert.deepInclude(found[0], { eventType: "deal.lost", error: "refused" })
      assert.isAtLeast(Date.now() - (found[0]?.since?.getTime() ?? Infinity), 60_000)
      const first = yield* keys.list({ limit: 1 })
      assert.deepStrictEqual(first.keys, found.slice(0, 1))
      const second = yield* keys.list({ limit: 1, after: first.next ?? "" })
      assert.deepStrictEqual(second, { keys: found.slice(1), next: null })
      for (const page of [{ limit: 0 }, { after: "first" }, { after: "99999999999999999999" }]) {
        assert.strictEqual((yield* Effect.flip(keys.list(page)))._tag, "InvalidRequest")
      }
    }))

  it.effect("go on without their dead entry when they are unblocked, which then goes to their end", () =>
    Effect.gen(function*() {
      const { dead, ids, keys } = yield* start([
        { key: "k", blocks: true },
        { key: "k", status: "pending", waitsFor: "key" },
        { key: "k", status: "pending", waitsFor: "key" }
      ])
      const [head = "", next = "", last = ""] = ids
      assert.deepStrictEqual([...(yield* keys.unblock("k", { by }))], [head])
      assert.deepStrictEqual([yield* waits(next), yield* waits(last)], [null, "key"])
      assert.lengthOf((yield* keys.list()).keys, 0)
      assert.strictEqual(yield* dead.count({ key: "k" }), 1, "it is a dead letter still")
      assert.strictEqual((yield* Effect.flip(keys.unblock("k", { by })))._tag, "NotBlocked")
      assert.deepStrictEqual(yield* auditRows, [{ by, action: "unblock", filter: { key: "k" }, count: 1 }])
      yield* dead.redrive({ key: "k" }, { by })
      assert.deepStrictEqual((yield* rowStates).map(({ id }) => id), [next, last, head])
    }))

  it.effect("go on when the entry at their head is discarded", () =>
    Effect.gen(function*() {
      const { ids, keys } = yield* start([
        { key: "k", blocks: true },
        { key: "k", status: "pending", waitsFor: "key" },
        { key: "other", blocks: true },
        { key: "other", status: "pending", waitsFor: "key" }
      ])
      assert.strictEqual(yield* keys.discardHead("k", { by }), ids[0])
      assert.deepStrictEqual([yield* waits(ids[1]), yield* waits(ids[3])], [null, "key"])
      assert.deepInclude((yield* rowStates)[0], { discarded: true, blocks: false })
      assert.strictEqual((yield* Effect.flip(keys.discardHead("k", { by })))._tag, "NotBlocked")
      assert.strictEqual((yield* Effect.flip(keys.discardHead("other", { by: "" })))._tag, "InvalidRequest")
      assert.deepStrictEqual(yield* auditRows, [{
        by,
        action: "discard",
        filter: { key: "k", ids: [ids[0]] },
        count: 1
      }])
    }))

  it.effect("are let go once by two operators at the same time, and the audit has one of them", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 20; n++) {
        const { dead, ids, keys } = yield* start([
          { key: "k", blocks: true },
          { key: "k", status: "pending", waitsFor: "key" }
        ])
        const [redriven, ...others] = yield* Effect.all([
          dead.redrive({ key: "k", type: "deal.made" }, { by: "Jane" }),
          Effect.result(keys.unblock("k", { by: "John" })),
          Effect.result(keys.discardHead("k", { by: "Jim" }))
        ], { concurrency: "unbounded" })
        const rows = yield* rowStates
        assert.isFalse(rows.some(({ blocks }) => blocks))
        const first = rows.find(({ discarded, status }) => status === "pending" && !discarded)
        assert.isNull(first?.waits_for ?? null, "the first that is open never waits for its key")
        const head = rows.find(({ id }) => id === ids[0])
        assert.strictEqual(head?.status === "pending", redriven === 1)
        assert.isFalse(redriven === 1 && head?.discarded)
        assert.strictEqual(
          (yield* auditRows).reduce((sum, { count }) => sum + count, 0),
          redriven + others.filter((other) => Result.isSuccess<unknown, unknown>(other)).length
        )
      }
    }))
})
