/** From any source, through the inbox, to typed handlers. */
import { assert, layer } from "@effect/vitest"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventSource } from "@zakops/events/EventSource"
import { SetAside } from "@zakops/events/EventSource"
import { Consumer, InboxGuard } from "@zakops/inbox"
import * as Arr from "effect/Array"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import * as TestDatabase from "../support/TestDatabase.ts"

const Paid = EventDefinition.make("paid", {
  version: 2,
  payload: Schema.Struct({ amount: Schema.Int, currency: Schema.String }),
  upcasters: { 1: (json) => ({ currency: "EUR", ...(json as object) }) }
})

const envelope = (eventType: string, data: unknown, schemaVersion = 2): EventEnvelope => ({
  id: randomUUID(),
  correlationId: randomUUID(),
  aggregateType: null,
  aggregateId: null,
  eventType,
  schemaVersion,
  data,
  traceId: null,
  headers: {},
  createdAt: new Date(0),
  orderingKey: null,
  sequence: null
})

/** Hands out the batches once each, and then `taken` is done. */
const sourceOf = (...batches: ReadonlyArray<ReadonlyArray<EventEnvelope>>) =>
  Effect.map(Deferred.make<void>(), (taken) => {
    const source: EventSource = {
      name: "the test's source",
      consume: (handle) =>
        Effect.gen(function*() {
          // Sets nothing aside: no test here hands out what is newer than the build.
          for (const batch of batches) {
            if (Arr.isReadonlyArrayNonEmpty(batch)) yield* Effect.catchTag(handle(batch), "SetAside", Effect.die)
          }
          yield* Deferred.succeed(taken, void 0)
          return yield* Effect.never
        })
    }
    return { source, taken }
  })

layer(InboxGuard.layer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
  "a consumer",
  (it) => {
    const inboxed = (id: string) =>
      Effect.flatMap(
        SqlClient,
        (sql) => Effect.map(sql`SELECT 1 FROM zakops.inbox WHERE event_id = ${id}::uuid`, (rows) => rows.length > 0)
      )

    it.effect("hands events to their handlers in order, typed and of the newest version, and passes over other types", () =>
      Effect.gen(function*() {
        const other = envelope("other", {})
        const { source, taken } = yield* sourceOf(
          [envelope("paid", { amount: 1, currency: "USD" }), other],
          [envelope("paid", { amount: 2 }, 1)]
        )
        const handled: Array<string> = []
        const run = Consumer.run({
          consumerId: "c",
          source,
          handlers: [
            Consumer.on(Paid, ({ data }) => Effect.sync(() => handled.push(`${data.amount + 1} ${data.currency}`)))
          ]
        })
        yield* Effect.raceFirst(run, Deferred.await(taken))
        assert.deepStrictEqual(handled, ["2 USD", "3 EUR"])
        assert.isFalse(yield* inboxed(other.id))
      }))

    it.effect("handles an event once that is delivered twice", () =>
      Effect.gen(function*() {
        const paid = envelope("paid", { amount: 1, currency: "USD" })
        const { source, taken } = yield* sourceOf([paid, paid], [paid])
        let handled = 0
        const handlers = [Consumer.on(Paid, () => Effect.sync(() => handled++))]
        yield* Effect.raceFirst(Consumer.run({ consumerId: "c", source, handlers }), Deferred.await(taken))
        assert.strictEqual(handled, 1)
      }))

    it.effect("tries a handler that fails again, before it goes on to the next event", () =>
      Effect.gen(function*() {
        const [first, second] = [1, 2].map((amount) => envelope("paid", { amount, currency: "USD" }))
        const { source, taken } = yield* sourceOf([first, second].filter((event) => event !== undefined))
        const handled: Array<number> = []
        const run = Consumer.run({
          consumerId: "c",
          source,
          retry: Schedule.spaced("1 millis"),
          handlers: [
            Consumer.on(Paid, ({ data }) =>
              Effect.suspend(() => {
                handled.push(data.amount)
                return handled.length < 3 ? Effect.fail("not yet") : Effect.void
              }))
          ]
        })
        yield* Effect.raceFirst(run, Deferred.await(taken))
        assert.deepStrictEqual(handled, [1, 1, 1, 2])
      }))

    it.effect("tries a handler that dies again, and does not end of it", () =>
      Effect.gen(function*() {
        const { source, taken } = yield* sourceOf([envelope("paid", { amount: 1, currency: "USD" })])
        let calls = 0
        const handlers = [Consumer.on(Paid, () =>
          Effect.sync(() => {
            if (++calls < 3) throw new Error("boom")
          }))]
        const run = Consumer.run({ consumerId: "c", source, handlers, retry: Schedule.spaced("1 millis") })
        yield* Effect.raceFirst(run, Deferred.await(taken))
        assert.strictEqual(calls, 3)
      }))

    it.effect("fails with the handler's error when the schedule is exhausted, and leaves no inbox row", () =>
      Effect.gen(function*() {
        const paid = envelope("paid", { amount: 1, currency: "USD" })
        const { source } = yield* sourceOf([paid])
        const handlers = [Consumer.on(Paid, () => Effect.fail("never" as const))]
        const error = yield* Effect.flip(Consumer.run({ consumerId: "c", source, handlers, retry: Schedule.recurs(2) }))
        assert.strictEqual(error, "never")
        assert.isFalse(yield* inboxed(paid.id))
      }))

    it.effect("stops at an event that it cannot decode, and names it", () =>
      Effect.gen(function*() {
        const event = envelope("paid", { amount: "much" })
        const { source } = yield* sourceOf([event, envelope("paid", { amount: 1, currency: "USD" })])
        const handlers = [Consumer.on(Paid, () => Effect.die("the next event was reached"))]
        const error = yield* Effect.flip(Consumer.run({ consumerId: "c", source, handlers }))
        assert.strictEqual(error._tag, "UndecodableEvent")
        assert.include(error.message, event.id)
        assert.isFalse(yield* inboxed(event.id))
      }))

    it.effect("tries a handler again that was interrupted elsewhere, and does not end of it", () =>
      Effect.gen(function*() {
        const event = envelope("paid", { amount: 1, currency: "USD" })
        const { source } = yield* sourceOf([event])
        let runs = 0
        const handlers = [Consumer.on(Paid, () => runs++ === 0 ? Effect.interrupt : Effect.void)]
        const running = yield* Effect.forkChild(
          Consumer.run({ consumerId: "c", source, handlers, retry: Schedule.forever })
        )
        while (!(yield* inboxed(event.id))) yield* Effect.yieldNow
        yield* Fiber.interrupt(running)
        assert.strictEqual(runs, 2)
      }))

    it.effect("refuses two handlers of one type", () =>
      Effect.gen(function*() {
        const { source } = yield* sourceOf([])
        const handler = Consumer.on(Paid, () => Effect.void)
        const exit = yield* Effect.exit(Consumer.run({ consumerId: "c", source, handlers: [handler, handler] }))
        assert.include(String(exit), "two handlers of paid")
      }))

    it.effect("sets an event aside that is newer than this build", () =>
      Effect.gen(function*() {
        const event = envelope("paid", {}, 3)
        const aside = yield* Deferred.make<SetAside>()
        const source: EventSource = {
          name: "the test's source",
          consume: (handle) =>
            Effect.catch(Effect.andThen(handle([event]), Effect.never), (error) =>
              error instanceof SetAside
                ? Effect.andThen(Deferred.succeed(aside, error), Effect.never)
                : Effect.fail(error as never))
        }
        const handlers = [Consumer.on(Paid, () => Effect.void)]
        const running = yield* Effect.forkChild(Consumer.run({ consumerId: "c", source, handlers }))
        const { error, eventId, reason } = yield* Deferred.await(aside)
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual({ eventId, reason }, { eventId: event.id, reason: "newer" })
        assert.include(error, "version 3")
        assert.isFalse(yield* inboxed(event.id))
      }))
  }
)
