/** One event is appended by a statement of its own: it writes what stands for the event among others. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import type { ExpectedVersion } from "@zakops/event-store/StreamId"
import type { AppendOptions } from "@zakops/event-store/toStreamEntries"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import * as Statement from "effect/sql/Statement"
import { Added } from "../support/counter.ts"
import { newStream } from "../support/counterStreams.ts"
import { eventually, services, waitingForKeys } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = EventStore.layer.pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

const Options = Schema.Struct({
  onDead: Schema.Literals(["block", "skip"]),
  retry: Schema.Boolean,
  orderingKey: Schema.UndefinedOr(Schema.NullOr(Schema.Literals(["k", "ключ"]))),
  maxAttempts: Schema.UndefinedOr(Schema.Literals([1, 9])),
  delay: Schema.UndefinedOr(Schema.Literal("1 hour")),
  expiresAt: Schema.UndefinedOr(Schema.Literal(Date.parse("2999-01-01T00:00:00Z"))),
  traceId: Schema.UndefinedOr(Schema.Literal("0190a8f2-0000-7000-8000-00000000000a")),
  headers: Schema.UndefinedOr(Schema.Literal("tenant"))
})
/** Without events, or with two. */
const Place = Schema.Literals(["any", "any of some", "noStream", "streamExists", 0, 2])

/** What is said of it by its definition. */
const definitionOf = ({ onDead, retry }: typeof Options.Type) =>
  EventDefinition.make("counter.changed", {
    aggregateType: "counter",
    payload: Schema.Struct({ by: Schema.Int }),
    delivery: { onDead, retry: retry ? Schedule.spaced("7 seconds") : undefined }
  })

const optionsOf = (options: typeof Options.Type): AppendOptions => {
  const { delay, expiresAt, headers, maxAttempts, orderingKey, traceId } = options
  return {
    delay,
    expiresAt: expiresAt === undefined ? undefined : new Date(expiresAt),
    headers: headers === undefined ? undefined : { [headers]: "7" },
    maxAttempts,
    orderingKey,
    traceId
  }
}

layer(Live, { excludeTestServices: true })("an event that is appended alone", (it) => {
  it.effect.prop(
    "is written as it is among others",
    [Options, Place, Schema.Int],
    ([some, place, by]) =>
      Effect.gen(function*() {
        const { write } = yield* EventStore
        const sql = yield* SqlClient
        const options = optionsOf(some)
        const event = yield* definitionOf(some).make({ by })
        const expected: ExpectedVersion = place === "any of some" ? "any" : place
        const written = yield* Effect.forEach([1, 2], (count) =>
          Effect.gen(function*() {
            const stream = newStream()
            if (place === "streamExists" || place === "any of some" || place === 2) {
              yield* write(stream, "noStream", [event, event])
            }
            const { ids, version } = yield* write(stream, expected, Array.from({ length: count }, () => event), options)
            const [id] = ids
            const entries =
              yield* sql`SELECT aggregate_type, event_type, schema_version, event_data, trace_id, headers, status, attempts,
              max_attempts, ordering_key, on_dead, retry_waits, expires_at, shadow, waits_for, blocks, destination,
              correlation_id::text = aggregate_id AS correlated, aggregate_id = ${stream.aggregateId} AS streamed,
              round(extract(epoch FROM next_attempt_at - created_at) / 60)::int AS delay
              FROM zakops.outbox WHERE id = ${id}`
            const logged = yield* sql`SELECT aggregate_type, event_type, schema_version, event_data, trace_id, headers,
              stream_version::int AS stream_version, aggregate_id = ${stream.aggregateId} AS streamed,
              created_at = (SELECT created_at FROM zakops.outbox WHERE id = ${id}) AS together
              FROM zakops.agent_events WHERE id = ${id}`
            assert.lengthOf(entries, 1)
            assert.lengthOf(logged, 1)
            return { entries, logged, version: version - count }
          }))
        assert.deepStrictEqual(written[0], written[1])
      })
  )

  it.effect("is written by a statement that the program may transform", () =>
    Effect.gen(function*() {
      const { write } = yield* EventStore
      const sql = yield* SqlClient
      const event = yield* Added.make({ by: 1 })
      const stream = newStream()
      const append = (expected: ExpectedVersion, tenant: string | null) =>
        Effect.provideService(
          write(stream, expected, [event]),
          Statement.CurrentTransformer,
          (statement) => Effect.succeed(sql`${statement} WHERE ${tenant}::text IS NOT NULL`)
        )
      yield* append("noStream", "me")
      assert.strictEqual((yield* append(1, "me")).version, 2)
    }))

  it.effect("waits for the lock of its key, and is numbered behind what was written under it", () =>
    Effect.gen(function*() {
      const { write } = yield* EventStore
      const sql = yield* SqlClient
      const event = yield* Added.make({ by: 1 })
      for (const expected of ["any", "noStream", 2] as const) {
        const orderingKey = `counter ${expected}`
        const stream = newStream()
        if (expected === 2) yield* write(stream, "noStream", [event, event])
        const locked = yield* Deferred.make<void>()
        const mayEnd = yield* Deferred.make<void>()
        const other = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
          yield* sql`SELECT pg_advisory_xact_lock(hashtext('zakops.outbox'), hashtext(${orderingKey}) & 4095)::text`
          yield* Deferred.succeed(locked, void 0)
          yield* Deferred.await(mayEnd)
          yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, ordering_key)
            VALUES (gen_random_uuid(), gen_random_uuid(), 'plain', '{}', ${orderingKey})`
        })))
        yield* Deferred.await(locked)
        const ours = yield* Effect.forkChild(write(stream, expected, [event], { orderingKey }))
        yield* eventually(Effect.map(waitingForKeys, (count) => count === 1))
        yield* Deferred.succeed(mayEnd, void 0)
        yield* Fiber.join(other)
        yield* Fiber.join(ours)
        const rows = yield* sql`SELECT event_type FROM zakops.outbox WHERE ordering_key = ${orderingKey} ORDER BY seq`
        assert.deepStrictEqual(rows.map((row) => row["event_type"]), ["plain", "counter.added"])
      }
    }))
})
