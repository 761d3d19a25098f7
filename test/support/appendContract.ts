/** What an EventStore has to do with appends: versions, expectations, transactions, and what it refuses. Part of `eventStoreContract`. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import { EventStore } from "@zakops/event-store/EventStore"
import type { ExpectedVersion, StreamId } from "@zakops/event-store/StreamId"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { Added } from "./counter.ts"
import { adds, append, contents, newStream } from "./counterStreams.ts"

export const appendContract = (it: Vitest.MethodsNonLive<EventStore>) => {
  it.effect("appends in order, counts versions from 1, and gives the events back as they were", () =>
    Effect.gen(function*() {
      const { read } = yield* EventStore
      const stream = newStream()
      const first = yield* append(stream, "noStream", 1, 2)
      const second = yield* append(stream, 2, 3)
      assert.deepStrictEqual([first.version, second.version], [2, 3])
      const events = yield* Stream.runCollect(read(stream))
      assert.deepStrictEqual(events.map(({ envelope }) => envelope.id), [...first.ids, ...second.ids])
      assert.deepStrictEqual(yield* contents(stream), [[1, 1], [2, 2], [3, 3]])
      const [event] = events
      const { createdAt, traceId, ...envelope } = event?.envelope ?? assert.fail("nothing was read")
      assert.instanceOf(createdAt, Date)
      assert.isNull(traceId, "nobody has recorded a trace")
      assert.deepStrictEqual(envelope, {
        ...stream,
        id: first.ids[0] ?? "",
        correlationId: stream.aggregateId,
        eventType: "counter.added",
        schemaVersion: 1,
        data: { by: 1 },
        headers: {},
        orderingKey: null,
        sequence: null
      })
    }))

  // Against an empty stream, and one of two events.
  const expectations: ReadonlyArray<readonly [ExpectedVersion, number, boolean]> = [
    ["any", 0, true],
    ["any", 2, true],
    ["noStream", 0, true],
    ["noStream", 2, false],
    ["streamExists", 0, false],
    ["streamExists", 2, true],
    [0, 0, true],
    [0, 2, false],
    [1, 0, false],
    [1, 2, false],
    [2, 2, true],
    [3, 2, false]
  ]
  it.effect.each(expectations)(
    "expecting %s of %i events: %s",
    ([expected, present, taken]) =>
      Effect.gen(function*() {
        const stream = newStream()
        if (present > 0) yield* append(stream, "any", 1, 2)
        const result = yield* Effect.result(append(stream, expected, 7))
        assert.strictEqual(Result.isSuccess(result), taken)
        if (Result.isFailure(result)) {
          const error = result.failure
          if (error._tag !== "WrongExpectedVersion") return assert.fail(error.message)
          assert.deepInclude({ ...error }, { expected, actual: present })
        }
        assert.lengthOf(yield* contents(stream), present + (taken ? 1 : 0))
      })
  )

  it.effect("leaves the transaction usable after a conflict", () =>
    Effect.gen(function*() {
      const store = yield* EventStore
      const [one, other] = [newStream(), newStream()]
      yield* append(one, "noStream", 1)
      yield* store.transact(Effect.gen(function*() {
        yield* store.append(other, "noStream", yield* adds(1))
        const error = yield* Effect.flip(store.append(one, "noStream", yield* adds(2)))
        assert.strictEqual(error._tag, "WrongExpectedVersion")
        yield* store.append(other, 1, yield* adds(2))
      }))
      assert.deepStrictEqual(yield* contents(one), [[1, 1]])
      assert.deepStrictEqual(yield* contents(other), [[1, 1], [2, 2]])
    }))

  it.effect("keeps nothing of a transaction, or of a savepoint, that is rolled back", () =>
    Effect.gen(function*() {
      const store = yield* EventStore
      const stream = newStream()
      yield* Effect.ignore(
        store.transact(Effect.andThen(store.append(stream, "any", yield* adds(1)), Effect.fail("no")))
      )
      yield* store.transact(Effect.gen(function*() {
        yield* store.append(stream, "noStream", yield* adds(2))
        yield* Effect.ignore(
          store.transact(Effect.andThen(store.append(stream, 1, yield* adds(3)), Effect.fail("no")))
        )
        yield* store.append(stream, 1, yield* adds(4))
      }))
      assert.deepStrictEqual(yield* contents(stream), [[1, 2], [2, 4]])
    }))

  it.effect("reads forward and backward, from a version on, up to a limit, across pages", () =>
    Effect.gen(function*() {
      const stream = newStream()
      yield* append(stream, "noStream", ...Arr.range(1, 1203))
      const versions = (options?: Parameters<typeof contents>[1]) =>
        Effect.map(contents(stream, options), (events) => events.map(([version]) => version))
      assert.deepStrictEqual(yield* versions(), Arr.range(1, 1203))
      assert.deepStrictEqual(yield* versions({ direction: "backward" }), Arr.range(1, 1203).toReversed())
      assert.deepStrictEqual(yield* versions({ from: 700 }), Arr.range(700, 1203))
      assert.deepStrictEqual(yield* versions({ from: 700, limit: 501 }), Arr.range(700, 1200))
      assert.deepStrictEqual(yield* versions({ from: 700, limit: 500 }), Arr.range(700, 1199))
      assert.deepStrictEqual(yield* versions({ from: 3, direction: "backward" }), [3, 2, 1])
      assert.deepStrictEqual(yield* versions({ direction: "backward", limit: 2 }), [1203, 1202])
      assert.deepStrictEqual(yield* versions({ from: 1204 }), [])
      assert.deepStrictEqual(yield* contents(newStream()), [])
    }))

  it.effect("refuses an event of another aggregate, and a correlation id that is none, by the field's name", () =>
    Effect.gen(function*() {
      const store = yield* EventStore
      const field = (stream: StreamId, aggregateId?: string) =>
        Effect.gen(function*() {
          const event = yield* Added.make({ by: 1 }, { aggregateId })
          const error = yield* Effect.flip(store.transact(store.append(stream, "any", [event])))
          return error._tag === "InvalidEvent" ? error.field : error._tag
        })
      assert.strictEqual(yield* field({ ...newStream(), aggregateType: "deal" }), "aggregateType")
      assert.strictEqual(yield* field(newStream(), "another"), "aggregateId")
      assert.strictEqual(yield* field({ ...newStream(), aggregateId: "no uuid" }), "correlationId")
      const nothing = yield* Effect.flip(store.write(newStream(), "any", []))
      assert.deepInclude({ ...nothing }, { _tag: "InvalidEvent", field: "events" })
    }))

  it.effect.each([-1, NaN, Infinity, 1.5, 2 ** 53, "1", 1n, null, undefined] as ReadonlyArray<unknown>)(
    "refuses %s as an expected version, by the field's name, alone and among others",
    (given) =>
      Effect.gen(function*() {
        const { append, transact, write } = yield* EventStore
        // A program in JavaScript may give anything.
        const expected = given as ExpectedVersion
        const stream = newStream()
        const events = yield* adds(1)
        yield* write(stream, "noStream", events)
        const refused = { _tag: "InvalidEvent", field: "expected" } as const
        assert.deepInclude({ ...yield* Effect.flip(transact(append(stream, expected, events))) }, refused)
        const results = yield* Effect.forEach(
          [...Arr.makeBy(6, () => [newStream(), "any"] as const), [stream, expected] as const],
          ([target, version]) => Effect.result(write(target, version, events)),
          { concurrency: "unbounded" }
        )
        const last = results.at(-1)
        assert.deepInclude(last !== undefined && Result.isFailure(last) ? { ...last.failure } : {}, refused)
        assert.lengthOf(yield* contents(stream), 1)
      })
  )

  it.effect("writes in a transaction of its own, or in the one that is open", () =>
    Effect.gen(function*() {
      const { transact, write } = yield* EventStore
      const stream = newStream()
      assert.strictEqual((yield* write(stream, "noStream", yield* adds(1, 2))).version, 2)
      assert.strictEqual((yield* Effect.flip(write(stream, "noStream", yield* adds(3))))._tag, "WrongExpectedVersion")
      yield* Effect.ignore(transact(Effect.andThen(write(stream, 2, yield* adds(3)), Effect.fail("no"))))
      assert.deepStrictEqual(yield* contents(stream), [[1, 1], [2, 2]])
    }))
}
