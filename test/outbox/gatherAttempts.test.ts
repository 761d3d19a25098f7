import { assert, describe, it } from "@effect/vitest"
import type { ClaimedEntry } from "@zakops/outbox/claiming/OutboxEntry"
import type { Attempt } from "@zakops/outbox/delivering/attemptDelivery"
import { gatherAttempts } from "@zakops/outbox/delivering/gatherAttempts"
import { HeldEntries } from "@zakops/outbox/delivering/HeldEntries"
import { Fact } from "@zakops/outbox/EntryLifecycle"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"

const anEntry = (id: string): ClaimedEntry => ({
  id,
  claimId: "claim",
  attempts: 1,
  maxAttempts: 5,
  retryWaits: null,
  orderingKey: id.startsWith("keyed") ? id : null,
  seq: 1,
  eventType: "deal.made",
  traceId: null,
  startedAt: null,
  worker: null,
  timeLeft: Infinity,
  bytes: 1,
  expired: false,
  shadow: false,
  envelope: Result.fail("not looked at")
})

/** Holds these, all of them on their way; groups of four are full. */
const gathering = Effect.fnUntraced(function*(...ids: ReadonlyArray<string>) {
  const held = new HeldEntries(Duration.seconds(30))
  const entries = new Map(ids.map((id) => [id, anEntry(id)]))
  held.add([...entries.values()], 0)
  for (const entry of entries.values()) held.begun(entry)
  const { ended, group } = yield* gatherAttempts(held, 4, ({ entry }) => entry.orderingKey !== null)
  const groups = yield* Queue.unbounded<ReadonlyArray<string>>()
  const settling = Effect.gen(function*() {
    const attempts = yield* group
    held.settled(attempts.map(({ entry }) => entry))
    yield* Queue.offer(groups, attempts.map(({ entry }) => entry.id))
  })
  yield* Effect.forkChild(Effect.forever(settling))
  const end = (...ids: ReadonlyArray<string>) =>
    Effect.suspend(() => {
      const attempts = ids.map((id): Attempt => ({
        entry: entries.get(id) ?? anEntry(id),
        fact: Fact.Delivered(),
        heard: { _tag: "Answer" },
        outcome: undefined
      }))
      held.ended(attempts)
      ended(attempts)
      return TestClock.adjust(0)
    })
  return { end, groups: Queue.clear(groups) }
})

describe("gathering attempts to be settled together", () => {
  it.effect("lets the first go at once, and the next after 20 ms together", () =>
    Effect.gen(function*() {
      const { end, groups } = yield* gathering("a", "b", "c", "d", "e")
      yield* end("a")
      assert.deepStrictEqual(yield* groups, [["a"]])
      yield* end("b")
      yield* TestClock.adjust("19 millis")
      yield* end("c")
      assert.deepStrictEqual(yield* groups, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* groups, [["b", "c"]])
    }))

  it.effect("does not wait with a full group, nor with the last of what is held", () =>
    Effect.gen(function*() {
      const { end, groups } = yield* gathering("a", "b", "c", "d", "e", "f", "g")
      yield* end("a")
      yield* end("b", "c")
      yield* end("d")
      assert.deepStrictEqual(yield* groups, [["a"]])
      yield* end("e")
      assert.deepStrictEqual(yield* groups, [["b", "c", "d", "e"]])
      yield* end("f")
      assert.deepStrictEqual(yield* groups, [])
      yield* end("g")
      assert.deepStrictEqual(yield* groups, [["f", "g"]])
    }))

  it.effect("waits with what may make something else due for no more than what is on its way", () =>
    Effect.gen(function*() {
      const { end, groups } = yield* gathering("a", "b", "keyed c", "d", "e", "f")
      yield* end("a")
      yield* end("b")
      assert.deepStrictEqual(yield* groups, [["a"]])
      yield* end("keyed c")
      assert.deepStrictEqual(yield* groups, [])
      yield* end("d")
      assert.deepStrictEqual(yield* groups, [["b", "keyed c", "d"]])
    }))

  it.effect("waits no longer where the clock goes back", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      const { end, groups } = yield* gathering("a", "b", "c")
      yield* end("a")
      assert.deepStrictEqual(yield* groups, [["a"]])
      yield* TestClock.setTime(0)
      yield* end("b")
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(yield* groups, [["b"]])
    }))
})
