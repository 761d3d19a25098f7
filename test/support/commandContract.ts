/** What an EventStore has to do with commands: load, decide, append, again where somebody was faster. Part of `eventStoreContract`. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import { EventStore } from "@zakops/event-store/EventStore"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import { Added, BelowZero, Counter } from "./counter.ts"

export const commandContract = (it: Vitest.MethodsNonLive<EventStore>) => {
  it.effect("executes commands: loads, decides, appends", () =>
    Effect.gen(function*() {
      const { execute, load } = yield* EventStore
      const id = randomUUID()
      const first = yield* execute(Counter, id, { add: 5 })
      assert.deepInclude(first, { state: 5, version: 1, events: [Added.of({ by: 5 })] })
      assert.lengthOf(first.ids, 1)
      assert.deepInclude(yield* execute(Counter, id, { take: 2 }), { state: 3, version: 2 })
      assert.deepStrictEqual(yield* load(Counter, id), { state: 3, version: 2 })
      assert.deepInclude(yield* execute(Counter, id, { add: 0 }), { state: 3, version: 2, events: [], ids: [] })
      const refused = yield* Effect.flip(execute(Counter, id, { take: 4 }))
      assert.deepStrictEqual(refused, new BelowZero({ counter: 3 }))
      assert.deepStrictEqual(yield* load(Counter, id), { state: 3, version: 2 })
    }))

  it.effect("decides a command anew when somebody else was faster", () =>
    Effect.gen(function*() {
      const { execute, load } = yield* EventStore
      const id = randomUUID()
      yield* execute(Counter, id, { add: 10 })
      const results = yield* Effect.forEach(
        Arr.range(1, 15),
        () => Effect.result(execute(Counter, id, { take: 1 }, { retries: 50 })),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(results.filter(Result.isSuccess), 10)
      for (const result of results) {
        if (Result.isFailure(result)) assert.deepStrictEqual(result.failure, new BelowZero({ counter: 0 }))
      }
      assert.deepStrictEqual(yield* load(Counter, id), { state: 0, version: 11 })
    }))

  it.effect("gives up after the retries that it was given", () =>
    Effect.gen(function*() {
      const { execute } = yield* EventStore
      const id = randomUUID()
      const results = yield* Effect.forEach(
        Arr.range(1, 8),
        () => Effect.result(execute(Counter, id, { add: 1 }, { retries: 0 })),
        { concurrency: "unbounded" }
      )
      const failed = results.filter(Result.isFailure)
      assert.isAbove(failed.length, 0)
      for (const { failure } of failed) assert.strictEqual(failure._tag, "WrongExpectedVersion")
    }))

  it.effect("executes in the transaction that is open, and is rolled back with it", () =>
    Effect.gen(function*() {
      const { execute, load, transact } = yield* EventStore
      const id = randomUUID()
      yield* Effect.ignore(transact(Effect.gen(function*() {
        yield* execute(Counter, id, { add: 5 })
        assert.deepInclude(yield* execute(Counter, id, { take: 1 }), { state: 4, version: 2 })
        return yield* Effect.fail("no")
      })))
      assert.deepStrictEqual(yield* load(Counter, id), { state: 0, version: 0 })
    }))
}
