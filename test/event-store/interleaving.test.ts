/**
 * Random interleavings of real sessions: each begins, appends to several streams, and commits or rolls back, or writes without a
 * transaction of its own, in statements shared with others; while cursors read. Each committed event is read once, and each stream in
 * ascending order.
 */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import type { Appended, AppendError } from "@zakops/event-store/EventStore"
import { EventStore } from "@zakops/event-store/EventStore"
import { currentEnd } from "@zakops/event-store/readLog"
import * as Subscription from "@zakops/event-store/Subscription"
import type { RecordedEvent } from "@zakops/event-store/RecordedEvent"
import * as Database from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { Added } from "../support/counter.ts"
import { eventually, moment, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

/** What one session does in its transaction: appends to streams (by number), with pauses in milliseconds before each, and how it ends. */
const Session = Schema.Struct({
  how: Schema.Literals(["in a transaction", "in a transaction that has its id early", "each on its own"]),
  steps: Schema.Array(Schema.Struct({
    stream: Schema.Literals([0, 1, 2]),
    events: Schema.Literals([1, 2, 3]),
    pause: Schema.Literals([0, 0, 1, 3])
  })).check(Schema.isMinLength(1), Schema.isMaxLength(4)),
  end: Schema.Literals(["commit", "commit", "commit", "roll back"]),
  lastPause: Schema.Literals([0, 2, 5])
})
const Plan = Schema.Array(Session).check(Schema.isMinLength(4), Schema.isMaxLength(24))

layer(Live, { excludeTestServices: true })("readers of the log", (it) => {
  it.effect.prop(
    "see each committed event once, and each stream in order, whatever commits when",
    { plan: Plan },
    Effect.fnUntraced(function*({ plan }) {
      const sql = yield* SqlClient
      const { append, transact, write } = yield* EventStore
      const run = randomUUID()
      const streams = [0, 1, 2].map((n) => ({ aggregateType: "counter", aggregateId: `${run} ${n}` }))
      const committed: Array<string> = []

      const read = Effect.fnUntraced(function*(options: Subscription.Options) {
        const seen: Array<RecordedEvent> = []
        const reading = yield* Effect.forkChild(
          Stream.runForEach(
            Subscription.stream({ ...options, pollInterval: "5 millis" }),
            (event) =>
              Effect.sync(() => {
                seen.push(event)
              })
          )
        )
        return { seen, reading }
      })
      const now = yield* currentEnd(yield* Database.make)
      const readers = [
        yield* read({ from: now, batchSize: 3 }),
        yield* read({ from: now, filter: { correlationId: run }, batchSize: 2 }),
        yield* read({ from: "start", filter: { aggregateType: "counter" }, batchSize: 50 })
      ]

      const take = <R>(put: (...parts: Parameters<typeof write>) => Effect.Effect<Appended, AppendError, R>) =>
        Effect.fnUntraced(function*({ events, pause, stream }: typeof Session.Type["steps"][number]) {
          yield* moment(pause)
          const made = yield* Effect.forEach(Array.from({ length: events }), () => Added.make({ by: 1 }))
          return (yield* put(streams[stream] ?? assert.fail(), "any", made, { correlationId: run })).ids
        })
      const together = ({ end, how, lastPause, steps }: typeof Session.Type) =>
        transact(Effect.gen(function*() {
          // Sessions that meet on two streams in opposite orders are found and run again; a second for each would be long.
          yield* sql`SET LOCAL deadlock_timeout = '5ms'`
          // Has its transaction id long before its first append.
          if (how !== "in a transaction") yield* sql`SELECT pg_current_xact_id()::text`
          const ids = yield* Effect.forEach(steps, take(append))
          yield* moment(lastPause)
          if (end === "roll back") return yield* Effect.fail("rolled back" as const)
          return ids
        })).pipe(
          Effect.catchIf((error) => error === "rolled back", () => Effect.succeed([]))
        )
      const session = (planned: typeof Session.Type) =>
        Effect.map(
          planned.how === "each on its own" ? Effect.forEach(planned.steps, take(write)) : together(planned),
          (ids) => committed.push(...ids.flat())
        )
      yield* Effect.forEach(plan, session, { concurrency: 8, discard: true })

      for (const { reading, seen } of readers) {
        const ours = () => seen.filter(({ envelope }) => envelope.correlationId === run)
        yield* eventually(Effect.sync(() => ours().length >= committed.length))
        yield* moment(15)
        yield* Fiber.interrupt(reading)
        assert.sameMembers(ours().map(({ envelope }) => envelope.id), committed)
        for (const { aggregateId } of streams) {
          const versions = ours().filter(({ envelope }) => envelope.aggregateId === aggregateId).map((event) =>
            event.streamVersion
          )
          assert.deepStrictEqual(versions, versions.map((_, index) => index + 1))
        }
      }
    }),
    { arbitrary: { runs: 25 } }
  )

  it.effect("go by transaction ids as numbers, not as text", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const correlation = randomUUID()
      // 9, 10, 99, 100: as text they would be read as 10, 100, 9, 99.
      for (const xid of ["100", "9", "99", "10"]) {
        yield* sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, xid) VALUES (gen_random_uuid(), ${correlation}, ${xid}, ${xid}::xid8)`
      }
      for (const filter of [undefined, { correlationId: correlation }]) {
        const events = yield* Stream.runCollect(
          Subscription.stream({ filter, batchSize: 1 }).pipe(
            Stream.filter(({ envelope }) => envelope.correlationId === correlation),
            Stream.take(4)
          )
        )
        assert.deepStrictEqual(events.map(({ cursor }) => cursor.xid), ["9", "10", "99", "100"])
      }
    }))

  it.effect("pass over the position of a transaction that was rolled back", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { append, transact } = yield* EventStore
      const correlationId = randomUUID()
      const one = Effect.flatMap(Added.make({ by: 1 }), (event) =>
        append({ aggregateType: "counter", aggregateId: randomUUID() }, "any", [event], { correlationId }))
      yield* transact(one)
      yield* Effect.ignore(transact(Effect.andThen(one, Effect.fail("no"))))
      yield* transact(one)
      const events = yield* Stream.runCollect(Stream.take(Subscription.stream({ filter: { correlationId } }), 2))
      const [first, second] = events.map(({ cursor }) =>
        cursor.position
      )
      assert.strictEqual((second ?? 0n) - (first ?? 0n), 2n)
      assert.lengthOf(yield* sql`SELECT 1 FROM zakops.agent_events WHERE correlation_id = ${correlationId}`, 2)
    }))
})
