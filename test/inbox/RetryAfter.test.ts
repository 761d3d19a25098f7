/** A handler says when it is to be tried again. On the virtual clock, against a real Postgres. */
import { assert, layer } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventSource } from "@zakops/events/EventSource"
import { Consumer, InboxGuard, RetryAfter } from "@zakops/inbox"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { randomUUID } from "node:crypto"
import { eventually, moment } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Counted = EventDefinition.make("counted", { payload: Schema.Int })

const envelope = (): EventEnvelope => ({
  id: randomUUID(),
  correlationId: randomUUID(),
  aggregateType: null,
  aggregateId: null,
  eventType: "counted",
  schemaVersion: 1,
  data: 1,
  traceId: null,
  headers: {},
  createdAt: new Date(0),
  orderingKey: null,
  sequence: null
})

const sourceOf = (event: EventEnvelope): EventSource => ({
  name: "the test's source",
  consume: (handle) => Effect.andThen(Effect.catchTag(handle([event]), "SetAside", Effect.die), Effect.never)
})

layer(InboxGuard.layer.pipe(Layer.provideMerge(TestDatabase.layer)))("a handler that fails with RetryAfter", (it) => {
  /** Runs the handler on one event; the times at which it was called, in seconds. */
  const running = Effect.fnUntraced(function*(
    results: ReadonlyArray<Effect.Effect<void, RetryAfter | string>>,
    retry: Schedule.Schedule<unknown> = Consumer.patiently
  ) {
    const calls: Array<number> = []
    const event = envelope()
    let waits = 0
    // Steps right before the consumer goes to wait.
    const counted = Schedule.modifyDelay(retry, ({ duration }) =>
      Effect.sync(() => {
        waits++
        return duration
      }))
    const start = yield* Clock.currentTimeMillis
    const handlers = [
      Consumer.on(
        Counted,
        () =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => results[calls.push((now - start) / 1000) - 1] ?? Effect.void)
      )
    ]
    const fiber = yield* Effect.forkChild(
      Consumer.run({ consumerId: "c", source: sourceOf(event), handlers, retry: counted })
    )
    const called = (times: number) => eventually(Effect.sync(() => calls.length === times))
    /** Lets the consumer go to wait, and then just so much time pass that it is not called, and then that it is. */
    const next = Effect.fnUntraced(function*(seconds: number) {
      const before = calls.length
      yield* eventually(Effect.sync(() => waits === before))
      yield* TestClock.adjust(Duration.millis(seconds * 1000 - 1))
      yield* moment(20)
      assert.lengthOf(calls, before)
      yield* TestClock.adjust("1 millis")
      yield* called(before + 1)
    })
    return { called, calls, event, fiber, next }
  })
  const after = (seconds: number) => new RetryAfter({ duration: Duration.seconds(seconds), reason: "busy" })

  it.effect("is tried again after just that time, shorter or longer than the schedule's wait", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { called, event, fiber, next } = yield* running([
        after(90),
        Effect.fail("an ordinary failure"),
        after(0.25)
      ])
      yield* called(1)
      assert.lengthOf(yield* sql`SELECT 1 FROM zakops.inbox WHERE event_id = ${event.id}::uuid`, 0)
      yield* next(90)
      // The schedule has moved on as with any other failure: its second wait.
      yield* next(2)
      yield* next(0.25)
      yield* eventually(Effect.map(
        sql`SELECT 1 FROM zakops.inbox WHERE event_id = ${event.id}::uuid`,
        (rows) => rows.length === 1
      ))
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("is not tried more often than the schedule allows, and its error ends the consumer", () =>
    Effect.gen(function*() {
      const { called, calls, fiber, next } = yield* running(
        [after(1), after(1), after(1)],
        Schedule.spaced("1 hour").pipe(Schedule.upTo({ times: 1 }))
      )
      yield* called(1)
      yield* next(1)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.deepInclude(error, { _tag: "RetryAfter", reason: "busy" })
      assert.lengthOf(calls, 2)
    }))
})
