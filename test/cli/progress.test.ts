/** What is drawn on a terminal while something long is done. */
import { assert, describe, it } from "@effect/vitest"
import { withBar, withTime } from "@zakops/cli/progress"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { stderr } from "../support/stderr.ts"

const fourTimes = Effect.suspend(() => {
  let asked = 0
  return Effect.succeed({
    asked: () => asked,
    read: Effect.suspend(() =>
      ++asked === 2 ? Effect.fail("the database is away") : Effect.succeed({ label: "building", done: asked, total: 4 })
    )
  })
})

describe("progress", () => {
  it.effect("is drawn four times a second on a terminal, goes on where it could not be read, and leaves nothing", () =>
    Effect.gen(function*() {
      const { written } = yield* stderr(true)
      const { read } = yield* fourTimes
      const work = yield* Effect.forkChild(withBar(read)(Effect.as(Effect.sleep("700 millis"), "done")))
      for (const _ of [1, 2, 3]) yield* TestClock.adjust("250 millis")
      assert.strictEqual(yield* Fiber.join(work), "done")
      const bar = (done: number, filled: number) =>
        `\rbuilding [${"#".repeat(filled)}${".".repeat(30 - filled)}] ${done} of 4\u001b[K`
      assert.deepStrictEqual(written, [bar(1, 7), bar(3, 22), "\r\u001b[K"])
    }).pipe(Effect.scoped))

  it.effect("is the time where nobody sees how far it is", () =>
    Effect.gen(function*() {
      const { written } = yield* stderr(true)
      const work = yield* Effect.forkChild(withTime("migrating")(Effect.sleep("1500 millis")))
      for (const _ of [1, 2]) yield* TestClock.adjust("1 second")
      yield* Fiber.join(work)
      assert.deepStrictEqual(written, ["\rmigrating, 0.0s\u001b[K", "\rmigrating, 1.0s\u001b[K", "\r\u001b[K"])
    }).pipe(Effect.scoped))

  it.effect("is nothing where stderr is no terminal", () =>
    Effect.gen(function*() {
      const { written } = yield* stderr(false)
      const { asked, read } = yield* fourTimes
      const work = yield* Effect.forkChild(withBar(read)(withTime("building")(Effect.sleep("1 second"))))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(work)
      assert.deepStrictEqual([asked(), written], [0, []])
    }).pipe(Effect.scoped))
})
