/** What an EventStore has to do with appends that come at the same time. Part of `eventStoreContract`. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import { EventStore } from "@zakops/event-store/EventStore"
import type { ExpectedVersion, StreamId } from "@zakops/event-store/StreamId"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Arr from "effect/Array"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { adds, append, contents, newStream } from "./counterStreams.ts"

export const concurrentAppendContract = (it: Vitest.MethodsNonLive<EventStore>) => {
  it.effect("takes one of many appends at the same version, and tells the others", () =>
    Effect.gen(function*() {
      const stream = newStream()
      const results = yield* Effect.forEach(
        Arr.range(1, 12),
        (amount) => Effect.result(append(stream, "noStream", amount)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(results.filter(Result.isSuccess), 1)
      for (const result of results) {
        if (Result.isFailure(result)) {
          assert.deepInclude({ ...result.failure }, { _tag: "WrongExpectedVersion", actual: 1 })
        }
      }
      assert.lengthOf(yield* contents(stream), 1)
    }))

  it.effect("loses none of many appends at any version, and leaves no gap", () =>
    Effect.gen(function*() {
      const stream = newStream()
      yield* Effect.forEach(Arr.range(1, 40), (amount) => append(stream, "any", amount, -amount), { concurrency: 8 })
      const events = yield* contents(stream)
      assert.deepStrictEqual(events.map(([version]) => version), Arr.range(1, 80))
      assert.sameMembers(events.map(([, by]) => by), Arr.range(1, 40).flatMap((amount) => [amount, -amount]))
      for (const [version, by] of events) {
        if ((version ?? 0) % 2 === 0) assert.isBelow(by, 0, "one append stands together")
      }
    }))

  it.effect("keeps streams apart whose names look the same when they are joined, also when they are written to at once", () =>
    Effect.gen(function*() {
      const { write } = yield* EventStore
      const part = randomUUID()
      const alike = [
        { aggregateType: `a/b`, aggregateId: `${part}/c` },
        { aggregateType: "a", aggregateId: `b/${part}/c` }
      ]
      const Happened = EventDefinition.make("happened", { payload: Schema.Struct({ by: Schema.Int }) })
      const happened = [yield* Happened.make({ by: 1 })]
      const others = Arr.makeBy(6, newStream)
      yield* Effect.forEach(
        [...others, ...alike, ...alike],
        (stream) => write(stream, "any", happened, { correlationId: part }),
        { concurrency: "unbounded" }
      )
      for (const stream of alike) assert.deepStrictEqual(yield* contents(stream), [[1, 1], [2, 1]])
    }))

  it.effect("takes many writes at the same time, each for itself", () =>
    Effect.gen(function*() {
      const { write } = yield* EventStore
      const streams = Arr.makeBy(7, newStream)
      const expectations: ReadonlyArray<ExpectedVersion> = ["any", "any", "noStream", 1, "streamExists"]
      const taken = new Map<StreamId, Array<readonly [end: number, count: number]>>()
      yield* Effect.forEach(Arr.range(0, 279), (n) =>
        Effect.gen(function*() {
          const stream = streams[n % 7] ?? assert.fail()
          const count = 1 + n % 3
          const events = yield* adds(...Arr.makeBy(count, () => n))
          const result = yield* Effect.result(write(stream, expectations[n % 5] ?? "any", events))
          if (Result.isSuccess(result)) {
            taken.set(stream, [...(taken.get(stream) ?? []), [result.success.version, count]])
            assert.lengthOf(result.success.ids, count)
          } else assert.strictEqual(result.failure._tag, "WrongExpectedVersion")
        }), { concurrency: 50, discard: true })
      for (const stream of streams) {
        const appends = (taken.get(stream) ?? []).toSorted(([a], [b]) => a - b)
        assert.isAtLeast(appends.length, 16, "those that expect nothing are all taken")
        // Each append got versions of its own, without a gap, and its events stand together.
        let version = 0
        for (const [end, count] of appends) {
          version += count
          assert.strictEqual(end, version)
        }
        const events = yield* contents(stream)
        assert.deepStrictEqual(events.map(([at]) => at), Arr.range(1, version))
        let from = 0
        for (const [end] of appends) {
          assert.lengthOf(new Set(events.slice(from, end).map(([, n]) => n)), 1)
          from = end
        }
      }
    }))

  it.effect("waits for streams that a transaction is moving, and for no others", () =>
    Effect.gen(function*() {
      const { append, transact, write } = yield* EventStore
      const [held, others] = [Arr.makeBy(4, newStream), Arr.makeBy(20, newStream)]
      const [began, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const writeEach = (streams: ReadonlyArray<StreamId>, amount: number) =>
        Effect.forEach(streams, (stream) => Effect.flatMap(adds(amount), (events) => write(stream, "any", events)), {
          concurrency: "unbounded"
        })
      yield* writeEach(held, 1)
      const holding = yield* Effect.forkChild(transact(Effect.gen(function*() {
        yield* Effect.forEach(held, (stream) => Effect.flatMap(adds(2), (events) => append(stream, "any", events)))
        yield* Deferred.succeed(began, void 0)
        yield* Deferred.await(mayEnd)
      })))
      yield* Deferred.await(began)
      const waiting = yield* Effect.forkChild(writeEach(held, 3))
      for (const version of [1, 2]) {
        assert.deepStrictEqual(
          (yield* writeEach(others, 1)).map((appended) => appended.version),
          others.map(() => version)
        )
      }
      assert.isUndefined(waiting.pollUnsafe())
      yield* Deferred.succeed(mayEnd, void 0)
      yield* Fiber.join(holding)
      assert.deepStrictEqual((yield* Fiber.join(waiting)).map(({ version }) => version), held.map(() => 3))
    }))
}
