/** How long a processor waits between its looks. */
import { assert, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { makeIdling } from "@zakops/outbox/delivering/idle"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as TestClock from "effect/testing/TestClock"
import * as TestDatabase from "../support/TestDatabase.ts"

const found = { taken: 1, more: false, again: Infinity }
const foundNothing = { taken: 0, more: false, again: Infinity }

const idling = Effect.gen(function*() {
  const db = yield* Database.make
  const bell = yield* Queue.sliding<void>(1)
  return { bell, ...makeIdling(db, null, bell, Duration.minutes(1)) }
})
type Idling = Effect.Success<typeof idling>

/** Milliseconds that it waits after the look: a whole number. */
const waitAfter = Effect.fnUntraced(function*({ afterLook }: Idling, round: typeof found, most: number) {
  const lookedAt = yield* Clock.currentTimeMillis
  const waiting = yield* Effect.forkChild(afterLook(round, lookedAt))
  for (let millis = 0; millis <= most; millis++) {
    // What it asks the database takes no virtual time.
    yield* TestClock.withLive(Effect.sleep("5 millis"))
    if (waiting.pollUnsafe() !== undefined) return millis
    yield* TestClock.adjust(1)
  }
  yield* Fiber.interrupt(waiting)
  return Infinity
})

/** Looks that find something, so many milliseconds from each other. */
const findEvery = Effect.fnUntraced(function*({ afterLook }: Idling, millis: number) {
  for (let look = 0; look < 30; look++) {
    yield* afterLook({ ...found, more: true }, yield* Clock.currentTimeMillis)
    yield* TestClock.adjust(millis)
  }
})

layer(Layer.provideMerge(TestDatabase.layer, Layer.succeed(DatabaseTime, fromClock)))("between two looks", (it) => {
  it.effect("a millisecond passes while entries keep coming, and none before the last look that asks everywhere", () =>
    Effect.gen(function*() {
      const idle = yield* idling
      yield* findEvery(idle, 4)
      assert.isTrue(idle.isAwake())
      assert.strictEqual(yield* waitAfter(idle, foundNothing, 3), 1)
      assert.strictEqual(yield* waitAfter(idle, found, 3), 1)
      yield* TestClock.adjust(9)
      assert.strictEqual(yield* waitAfter(idle, foundNothing, 3), 0)
      assert.isFalse(idle.isAwake())
      assert.strictEqual(yield* waitAfter(idle, foundNothing, 20), Infinity)
    }))

  it.effect("it sleeps where entries come now and then, and wakes up at the bell", () =>
    Effect.gen(function*() {
      const idle = yield* idling
      yield* findEvery(idle, 6)
      assert.isFalse(idle.isAwake())
      assert.strictEqual(yield* waitAfter(idle, foundNothing, 20), Infinity)
      yield* Queue.offer(idle.bell, void 0)
      assert.isBelow(yield* waitAfter(idle, foundNothing, 20), Infinity)
    }))

  it.effect("it does not stay awake for a clock that has gone back", () =>
    Effect.gen(function*() {
      const idle = yield* idling
      yield* TestClock.adjust("1 hour")
      yield* findEvery(idle, 1)
      assert.isTrue(idle.isAwake())
      const lookedAt = (yield* Clock.currentTimeMillis) - Duration.toMillis("30 minutes")
      yield* idle.afterLook(foundNothing, lookedAt)
      assert.isFalse(idle.isAwake())
    }))

  it.effect("it is back asleep after one burst, however long the next look takes", () =>
    Effect.gen(function*() {
      const idle = yield* idling
      yield* findEvery(idle, 1)
      assert.isTrue(idle.isAwake())
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* waitAfter(idle, foundNothing, 3), 0)
      assert.isFalse(idle.isAwake())
    }))
})
