/** Figures that are shared by all who ask: how old they may be, who waits for them, and when they are got while nobody asks. */
import { assert, it } from "@effect/vitest"
import { KeepFigures, refreshedBehind } from "@zakops/admin/reading/refreshedBehind"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"

const ages = { fresh: "1 second", stale: "10 seconds", idle: "30 seconds" } as const

/** Gives 1, 2, 3 and so on; `hold` has those that come wait until they are let go. */
const counting = () => {
  let count = 0
  let gate: Deferred.Deferred<void> | undefined
  return {
    read: Effect.suspend(() => Effect.as(gate === undefined ? Effect.void : Deferred.await(gate), ++count)),
    count: () => count,
    hold: Effect.map(Deferred.make<void>(), (made) => {
      gate = made
      return Effect.andThen(
        Effect.sync(() => {
          gate = undefined
        }),
        Deferred.succeed(made, undefined)
      )
    })
  }
}

it.effect("a figure is got when somebody asks, once for all of them, and behind the answer when it is no longer fresh", () =>
  Effect.gen(function*() {
    const source = counting()
    const recent = yield* refreshedBehind(source.read, ages)
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(source.count(), 0)
    assert.deepStrictEqual(yield* Effect.all([recent, recent, recent], { concurrency: "unbounded" }), [1, 1, 1])
    yield* TestClock.adjust("900 millis")
    assert.strictEqual(yield* recent, 1)
    assert.strictEqual(source.count(), 1)
    yield* TestClock.adjust("2 seconds")
    const release = yield* source.hold
    assert.deepStrictEqual([yield* recent, yield* recent], [1, 1])
    yield* TestClock.adjust(0)
    assert.strictEqual(source.count(), 2)
    yield* release
    yield* TestClock.adjust(0)
    assert.strictEqual(yield* recent, 2)
    // Too old to be shown: it is waited for.
    yield* TestClock.adjust("11 seconds")
    assert.strictEqual(yield* recent, 3)
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(source.count(), 3)
  }).pipe(Effect.scoped))

it.effect("a figure that is kept is there before anybody asks, and got again while nobody does", () =>
  Effect.gen(function*() {
    const source = counting()
    const recent = yield* Effect.provideService(refreshedBehind(source.read, ages), KeepFigures, true)
    assert.strictEqual(source.count(), 1)
    yield* TestClock.adjust("29 seconds")
    assert.strictEqual(source.count(), 1)
    assert.strictEqual(yield* recent, 1)
    yield* TestClock.adjust(0)
    assert.strictEqual(yield* recent, 2)
    yield* TestClock.adjust("5 minutes")
    const before = source.count()
    assert.isAtLeast(before, 10)
    // What is shown at once is no older than that.
    assert.strictEqual(yield* recent, before)
  }).pipe(Effect.scoped))

it.effect("a source that does not answer, or fails, keeps nobody from starting, and is asked again", () =>
  Effect.gen(function*() {
    const source = counting()
    const release = yield* source.hold
    const starting = yield* Effect.forkScoped(
      Effect.provideService(refreshedBehind(source.read, ages), KeepFigures, true)
    )
    yield* TestClock.adjust("2 seconds")
    const recent = yield* Fiber.join(starting)
    yield* release
    assert.strictEqual(yield* recent, 2)
    let broken = true
    const failing = yield* Effect.provideService(
      refreshedBehind(Effect.suspend(() => broken ? Effect.fail("gone" as const) : Effect.succeed("there")), ages),
      KeepFigures,
      true
    )
    assert.strictEqual(yield* Effect.flip(failing), "gone")
    broken = false
    assert.strictEqual(yield* failing, "there")
  }).pipe(Effect.scoped))
