/** What sources of brokers and publishers to them have in common: what is held back, and the connection that is shared. */
import { assert, describe, it } from "@effect/vitest"
import { HeldBack } from "@zakops/events/heldBack"
import * as SharedConnection from "@zakops/events/SharedConnection"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Keys = Schema.Array(Schema.Literals(["a", "b", "c", "d"]))
const Steps = Schema.Array(
  Schema.Struct({
    keys: Keys,
    aside: Schema.Boolean,
    wait: Schema.Literals([1, 2, 5]),
    passes: Schema.Literals([0, 1, 3])
  })
)

describe("what is held back", () => {
  it.effect.prop(
    "is passed by nothing that shares a key with it, and comes back",
    { steps: Steps },
    Effect.fnUntraced(function*({ steps }) {
      interface One {
        readonly nth: number
        readonly keys: ReadonlyArray<string>
        aside: boolean
      }
      const held = new HeldBack<One>(({ keys }) => keys)
      const handled: Array<One> = []
      let now = 0
      const handOut = (batch: ReadonlyArray<One>, wait: number) => {
        for (const one of batch) {
          if (held.joins(one)) continue
          if (!one.aside) handled.push(one)
          else {
            // The next time it is handled.
            one.aside = false
            held.hold(one, now + wait)
          }
        }
      }
      for (const [nth, { aside, keys, passes, wait }] of steps.entries()) {
        handOut([{ nth, keys, aside }], wait)
        now += passes
        handOut(held.takeDue(now), wait)
      }
      while (Option.isSome(held.nextDue)) {
        now = Math.max(now, held.nextDue.value)
        handOut(held.takeDue(now), 1)
      }
      assert.sameMembers(handled.map(({ nth }) => nth), steps.map((_, nth) => nth))
      for (const key of ["a", "b", "c", "d"]) {
        const order = handled.filter(({ keys }) => keys.includes(key)).map(({ nth }) => nth)
        assert.deepStrictEqual(order, order.toSorted((one, other) => one - other))
      }
    }),
    { arbitrary: { runs: 300 } }
  )
})

describe("a shared connection", () => {
  const prepare = Effect.gen(function*() {
    const opening: Array<{ readonly lost: () => void; readonly answer: Deferred.Deferred<number, string> }> = []
    let closed = 0
    const connection = yield* SharedConnection.make((lost) =>
      Effect.gen(function*() {
        const answer = yield* Deferred.make<number, string>()
        opening.push({ lost, answer })
        yield* Effect.addFinalizer(() => Effect.sync(() => closed++))
        return yield* Deferred.await(answer)
      })
    )
    const last = Effect.suspend(() => Effect.fromNullishOr(opening.at(-1)))
    return { closed: () => closed, get: connection.get, last, opening }
  })

  it.effect("is opened once for all who ask meanwhile, also when the first of them goes", () =>
    Effect.gen(function*() {
      const { get, last, opening } = yield* prepare
      const first = yield* Effect.forkChild(get, { startImmediately: true })
      const others = yield* Effect.forkChild(Effect.all([get, get], { concurrency: "unbounded" }), {
        startImmediately: true
      })
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed((yield* last).answer, 1)
      assert.deepStrictEqual(yield* Fiber.join(others), [1, 1])
      assert.strictEqual(yield* get, 1)
      assert.lengthOf(opening, 1)
    }))

  it.effect("is opened anew after it was lost, and the old one is closed; one that was lost before does not count", () =>
    Effect.gen(function*() {
      const { closed, get, last, opening } = yield* prepare
      const open = Effect.fnUntraced(function*(name: number) {
        const getting = yield* Effect.forkChild(get, { startImmediately: true })
        yield* Effect.yieldNow
        yield* Deferred.succeed((yield* last).answer, name)
        return yield* Fiber.join(getting)
      })
      assert.strictEqual(yield* open(1), 1)
      opening[0]?.lost()
      assert.strictEqual(yield* open(2), 2)
      assert.strictEqual(closed(), 1)
      opening[0]?.lost()
      assert.strictEqual(yield* get, 2)
      assert.lengthOf(opening, 2)
    }))

  it.effect("fails all who wait when it cannot be opened, and is tried again by the next", () =>
    Effect.gen(function*() {
      const { get, last, opening } = yield* prepare
      const getting = yield* Effect.forkChild(
        Effect.all([Effect.flip(get), Effect.flip(get)], { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Deferred.fail((yield* last).answer, "refused")
      assert.deepStrictEqual(yield* Fiber.join(getting), ["refused", "refused"])
      const again = yield* Effect.forkChild(get, { startImmediately: true })
      yield* Effect.yieldNow
      assert.lengthOf(opening, 2)
      // Lost before it was open: whoever waits gets it, and the next a new one.
      opening[1]?.lost()
      yield* Deferred.succeed((yield* last).answer, 2)
      assert.strictEqual(yield* Fiber.join(again), 2)
      yield* Effect.forkChild(get, { startImmediately: true })
      yield* Effect.yieldNow
      assert.lengthOf(opening, 3)
    }))
})
