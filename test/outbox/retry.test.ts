/** The back-off and the dead-letter rule, on a virtual clock against a real Postgres. */
import { assert, describe, it, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { Permanent, Transient } from "@zakops/events/EventPublisher"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { OutboxProcessor } from "@zakops/outbox"
import { waitAfter } from "@zakops/events/RetrySchedule"
import { ladder, RetryPolicy } from "@zakops/outbox/RetryPolicy"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, entry, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

describe("RetryPolicy", () => {
  const waits = (schedule: Schedule.Schedule<unknown, number>, failures: number) =>
    Effect.forEach(
      Array.from({ length: failures }, (_, i) => i + 1),
      (n) => Effect.map(waitAfter(schedule, n), Option.map(Duration.toSeconds))
    )

  it.effect("waits 5 s, 15 s, 1 min, 5 min, then 15 min for ever", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* waits(ladder, 8), [5, 15, 60, 300, 900, 900, 900, 900].map(Option.some))
    }))

  it.effect("has nothing left where a user's schedule ends", () =>
    Effect.gen(function*() {
      const twice = Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 2 }))
      assert.deepStrictEqual(yield* waits(twice, 3), [Option.some(2), Option.some(2), Option.none()])
    }))

  it.effect("takes a row that claims a billion failures without replaying them all", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* waitAfter(ladder, 1_000_000_000), Option.some(Duration.minutes(15)))
    }))
})

/** Steps the clock to each time at which something is due and delivers, until nothing is; gives the seconds between attempts. */
const attemptTimes = Effect.fnUntraced(function*(id: string) {
  const { runOnce } = yield* OutboxProcessor
  const sql = yield* SqlClient
  const gaps: Array<number> = []
  let last = yield* Clock.currentTimeMillis
  while (true) {
    const { dead, delivered } = yield* runOnce
    if (dead + delivered > 0) return gaps
    const [row] = yield* sql<{ due: number }>`
      SELECT (extract(epoch FROM next_attempt_at) * 1000)::float8 AS due FROM zakops.outbox WHERE id = ${id}::uuid`
    const due = row?.due ?? NaN
    // A millisecond before, nothing is due yet.
    yield* TestClock.adjust(Duration.millis(due - last - 1))
    assert.deepStrictEqual(yield* runOnce, { delivered: 0, retried: 0, dead: 0, handedBack: 0, parked: 0, fenced: 0 })
    yield* TestClock.adjust(Duration.millis(1))
    gaps.push((due - last) / 1000)
    last = due
  }
})

const OnVirtualTime = TestDatabase.layer.pipe(Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock)))
const External = services().pipe(Layer.provideMerge(FakePublisher.layer), Layer.provideMerge(OnVirtualTime))

layer(External)("an external destination that fails", (it) => {
  const failing = Effect.gen(function*() {
    yield* emptyTables
    const fake = yield* FakePublisher
    fake.calls.length = 0
    fake.respond = () => Effect.fail(new Transient({ reason: "busy", cause: new Error("503") }))
    return fake
  })

  it.effect("is tried after 5, 15, 60 and 300 s, and the fifth failure is dead", () =>
    Effect.gen(function*() {
      const fake = yield* failing
      const [id = ""] = yield* emitDeals(1)
      assert.deepStrictEqual(yield* attemptTimes(id), [5, 15, 60, 300])
      assert.lengthOf(fake.calls, 5)
      assert.deepInclude(yield* entry(id), { status: "dead", attempts: 5, error_message: "busy: 503", claim_id: null })
    }))

  it.effect("waits 900 s after the fifth failure where six attempts are allowed", () =>
    Effect.gen(function*() {
      yield* failing
      const [id = ""] = yield* emitDeals(1, { maxAttempts: 6 })
      assert.deepStrictEqual(yield* attemptTimes(id), [5, 15, 60, 300, 900])
    }))

  it.effect("is not tried again once it has called an event impossible", () =>
    Effect.gen(function*() {
      const fake = yield* failing
      fake.respond = () => Effect.fail(new Permanent({ reason: "no such topic" }))
      const [id = ""] = yield* emitDeals(1)
      assert.deepStrictEqual(yield* attemptTimes(id), [])
      assert.deepInclude(yield* entry(id), { status: "dead", attempts: 1, error_message: "no such topic" })
    }))

  it.effect("stores at most 2,000 characters of its error, and none that Postgres refuses", () =>
    Effect.gen(function*() {
      const fake = yield* failing
      fake.respond = () => Effect.fail(new Transient({ reason: `bad\u0000news\ud800 ${"x".repeat(10_000)}` }))
      const [id = ""] = yield* emitDeals(1)
      const { runOnce } = yield* OutboxProcessor
      yield* runOnce
      const { error_message: stored } = yield* entry(id)
      assert.strictEqual(stored?.length, 2000)
      assert.match(stored ?? "", /^bad news\ufffd x+\.\.\.$/)
    }))

  it.effect("counts a publisher that dies, or gives no answer, as a failed attempt", () =>
    Effect.gen(function*() {
      const fake = yield* failing
      const { runOnce } = yield* OutboxProcessor
      fake.respond = () => Effect.die(new Error("boom"))
      const [id = ""] = yield* emitDeals(1)
      yield* runOnce
      const died = yield* entry(id)
      assert.deepInclude(died, { status: "pending", attempts: 1 })
      assert.include(died.error_message, "boom")

      const called = yield* Deferred.make<void>()
      fake.respond = () => Effect.andThen(Deferred.succeed(called, void 0), Effect.never)
      yield* TestClock.adjust("5 seconds")
      const running = yield* Effect.forkChild(runOnce)
      yield* Deferred.await(called)
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(running)
      assert.deepInclude(yield* entry(id), {
        attempts: 2,
        error_message: "no answer from the test's destination within 30s"
      })
    }))
})

const WithOwnPolicy = services().pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(OnVirtualTime),
  Layer.provideMerge(Layer.succeed(RetryPolicy, Schedule.spaced("7 seconds").pipe(Schedule.upTo({ times: 2 }))))
)

layer(WithOwnPolicy)("a program's own policy", (it) => {
  it.effect("decides the waits, and its end is death before the attempts are used up", () =>
    Effect.gen(function*() {
      const fake = yield* FakePublisher
      fake.respond = () => Effect.fail(new Transient({ reason: "busy" }))
      const [id = ""] = yield* emitDeals(1)
      assert.deepStrictEqual(yield* attemptTimes(id), [7, 7])
      assert.deepInclude(yield* entry(id), { status: "dead", attempts: 3 })
    }))
})

const IntoTheLog = services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(OnVirtualTime))

layer(IntoTheLog)("an entry that the log refuses", (it) => {
  it.effect("goes up the same ladder, charged once for each attempt", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`ALTER TABLE zakops.agent_events ADD CONSTRAINT no_bad_deals CHECK (event_data->>'title' <> 'bad')`
      const [bad = ""] = yield* emitDeals(1, { title: "bad" })
      assert.deepStrictEqual(yield* attemptTimes(bad), [5, 15, 60, 300])
      const { error_message, ...row } = yield* entry(bad)
      assert.deepInclude(row, { status: "dead", attempts: 5 })
      assert.include(error_message, "no_bad_deals")
    }))
})
