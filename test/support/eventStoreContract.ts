/** What every EventStore has to do, whatever stands behind it. Run it for each implementation. */
import { assert, layer } from "@effect/vitest"
import { EventStore } from "@zakops/event-store/EventStore"
import type { ExpectedVersion, StreamId } from "@zakops/event-store/StreamId"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Arr from "effect/Array"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { Added, BelowZero, Counter } from "./counter.ts"

const newStream = (): StreamId => ({ aggregateType: "counter", aggregateId: randomUUID() })

const adds = (...amounts: ReadonlyArray<number>) => Effect.forEach(amounts, (by) => Added.make({ by }))

/** What `read` gives of the stream, in short. */
const contents = Effect.fnUntraced(function*(stream: StreamId, options?: Parameters<EventStore["Service"]["read"]>[1]) {
  const { read } = yield* EventStore
  const events = yield* Stream.runCollect(read(stream, options))
  return events.map(({ envelope, streamVersion }) =>
    [streamVersion, (envelope.data as { readonly by: number }).by] as const
  )
})

export const eventStoreContract = <E>(name: string, implementation: Layer.Layer<EventStore, E>) =>
  layer(implementation, { excludeTestServices: true })(name, (it) => {
    const append = Effect.fnUntraced(
      function*(stream: StreamId, expected: ExpectedVersion, ...amounts: ReadonlyArray<number>) {
        const store = yield* EventStore
        return yield* store.transact(store.append(stream, expected, yield* adds(...amounts)))
      }
    )

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
        assert.match(traceId ?? "", /^[0-9a-f-]{36}$/, "that of the span of the transaction")
        assert.deepStrictEqual(envelope, {
          ...stream,
          id: first.ids[0] ?? "",
          correlationId: stream.aggregateId,
          eventType: "counter.added",
          schemaVersion: 1,
          data: { by: 1 },
          headers: {}
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

    it.effect.each([-1, NaN, Infinity, 1.5, 2 ** 53])(
      "refuses %d as an expected version, by the field's name, alone and among others",
      (expected) =>
        Effect.gen(function*() {
          const { append, transact, write } = yield* EventStore
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

    it.effect("writes in a transaction of its own, or in the one that is open", () =>
      Effect.gen(function*() {
        const { transact, write } = yield* EventStore
        const stream = newStream()
        assert.strictEqual((yield* write(stream, "noStream", yield* adds(1, 2))).version, 2)
        assert.strictEqual((yield* Effect.flip(write(stream, "noStream", yield* adds(3))))._tag, "WrongExpectedVersion")
        yield* Effect.ignore(transact(Effect.andThen(write(stream, 2, yield* adds(3)), Effect.fail("no"))))
        assert.deepStrictEqual(yield* contents(stream), [[1, 1], [2, 2]])
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
  })
