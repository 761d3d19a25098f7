/** Spans of emitting, delivering and consuming, and the context that goes with each event. */
import { assert, layer } from "@effect/vitest"
import { Permanent, Transient } from "@zakops/events/EventPublisher"
import { Measured } from "@zakops/events/Tracing"
import * as MessageOperation from "@zakops/events/MessageOperation"
import * as TraceContext from "@zakops/events/TraceContext"
import * as EventLog from "@zakops/event-store/EventLog"
import * as EventStoreModule from "@zakops/event-store/EventStore"
import * as Subscription from "@zakops/event-store/Subscription"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as DeliveryMetrics from "@zakops/outbox/delivering/deliveryMetrics"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import type { NativeSpan } from "effect/Tracer"
import { externalSpan, ParentSpan, Tracer } from "effect/Tracer"
import { randomUUID } from "node:crypto"
import { DealMade } from "../support/events.ts"
import { FakePublisher, startAfresh } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, services } from "../support/outbox.ts"
import { linkedIds, parentId, recordingTracer } from "../support/recordingTracer.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

interface Row {
  readonly headers: Readonly<Record<string, string>>
  readonly trace_id: string | null
}
const rows = Effect.flatMap(SqlClient, (sql) => sql<Row>`SELECT headers, trace_id FROM zakops.outbox ORDER BY seq`)

const attributes = (span: NativeSpan) => Object.fromEntries(span.attributes)
const spanIdIn = ({ headers }: Row) => TraceContext.spanOf(headers)?.spanId

const traced = (sampled = true) => {
  const { tracer, ...recorded } = recordingTracer()
  const inRequest = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(Effect.withSpan("request", { sampled }), Effect.provideService(Tracer, tracer))
  return { tracer, inRequest, ...recorded }
}

const Log = Layer.mergeAll(services(), InboxGuard.layer).pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

layer(Log, { excludeTestServices: true })("tracing to the log", (it) => {
  it.effect("carries nothing where no tracer is installed, but what came from elsewhere", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* emitDeals(1)
      yield* Effect.withSpan(emitDeals(1), "nobody records this")
      const outer = externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
      yield* emitDeals(1).pipe(Effect.withSpan("inner"), Effect.provideService(ParentSpan, outer))
      const [plain, unrecorded, elsewhere] = yield* rows
      assert.deepStrictEqual([plain?.headers, unrecorded?.headers], [{}, {}])
      // An id that was made up and that nobody has recorded would lead nowhere: that of the transaction, or of the span around it.
      assert.deepStrictEqual([plain?.trace_id, unrecorded?.trace_id], [null, null])
      assert.deepStrictEqual(elsewhere?.headers, { traceparent: TraceContext.traceparentOf(outer) ?? "" })
      assert.strictEqual(elsewhere?.trace_id, "0af76519-16cd-43dd-8448-eb211c80319c")
    }))

  it.effect("makes a span for each event, and puts its context into the headers beside those that were given", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { inRequest, ofName, operations } = traced()
      yield* inRequest(emitDeals(2, { headers: { tenant: "t1" } }))
      const creates = operations()
      const [request] = ofName("request")
      assert.deepStrictEqual(creates.map(({ kind, name }) => ({ kind, name })), [
        { kind: "producer", name: "create zakops.outbox" },
        { kind: "producer", name: "create zakops.outbox" }
      ])
      for (const span of creates) {
        assert.strictEqual(span.traceId, request?.traceId)
        assert.strictEqual(span.status._tag, "Ended")
        assert.deepInclude(attributes(span), {
          "messaging.system": "zakops",
          "messaging.operation.type": "create",
          "messaging.destination.name": "zakops.outbox",
          "zakops.event.type": "deal.made"
        })
      }
      const written = yield* rows
      assert.deepStrictEqual(written.map(spanIdIn), creates.map(({ spanId }) => spanId))
      assert.deepStrictEqual(written.map(({ headers }) => headers["tenant"]), ["t1", "t1"])
      assert.deepStrictEqual(
        written.map((row) => row.trace_id?.replaceAll("-", "")),
        creates.map((span) => span.traceId)
      )
    }))

  it.effect("keeps a context that was given, and takes the trace id from it", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { inRequest, operations } = traced()
      const given = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=1" }
      yield* inRequest(emitDeals(1, { headers: given }))
      assert.deepStrictEqual(operations(), [])
      assert.deepStrictEqual(yield* rows, [{ headers: given, trace_id: "0af76519-16cd-43dd-8448-eb211c80319c" }])
    }))

  it.effect("hands on that a trace is not sampled, without a span", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { inRequest, operations } = traced(false)
      yield* inRequest(emitDeals(1))
      assert.deepStrictEqual(operations(), [])
      const [row] = yield* rows
      assert.match(row?.headers["traceparent"] ?? "", /-00$/)
    }))

  it.effect("hands on the tracestate of the trace that it is in, and of no other", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { tracer } = traced()
      const outer = externalSpan({ traceId: "ab".repeat(16), spanId: "cd".repeat(8) })
      const within = (traceId: string) =>
        emitDeals(1).pipe(
          Effect.provideService(ParentSpan, outer),
          Effect.provideService(TraceContext.TraceState, { traceId, tracestate: "vendor=1" }),
          Effect.provideService(Tracer, tracer)
        )
      yield* within(outer.traceId)
      yield* within("ef".repeat(16))
      assert.deepStrictEqual((yield* rows).map(({ headers }) => headers["tracestate"]), ["vendor=1", undefined])
    }))

  it.effect("shows a batch as one span, linked to each of its events", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { inRequest, ofName, tracer } = traced()
      yield* inRequest(emitDeals(2))
      yield* emitDeals(1)
      const { drain } = yield* OutboxProcessor
      yield* Effect.provideService(drain, Tracer, tracer)
      const sends = ofName("send the event log zakops.agent_events")
      assert.lengthOf(sends, 1)
      const [send] = sends as [NativeSpan]
      assert.strictEqual(send.kind, "client")
      assert.isUndefined(parentId(send))
      assert.deepStrictEqual(
        linkedIds(send).toSorted(),
        ofName("create zakops.outbox").map((span) => span.spanId).toSorted()
      )
      assert.deepInclude(attributes(send), { "messaging.batch.message_count": 3, "messaging.operation.name": "send" })
    }))

  it.effect("measures how long each event was on its way to the log, where somebody wants it", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* emitDeals(2)
      yield* sql`UPDATE zakops.outbox SET created_at = created_at - interval '100 seconds'`
      const { drain } = yield* OutboxProcessor
      const measured = Effect.gen(function*() {
        yield* Effect.provideService(drain, Measured, true)
        const found = (yield* Metric.snapshot).find(({ id }) => id === DeliveryMetrics.latency.id)
        return found ?? assert.fail("nothing was measured")
      })
      const latency = yield* Effect.provideService(measured, Metric.MetricRegistry, new Map())
      assert.strictEqual(latency.attributes?.["destination"], "the event log zakops.agent_events")
      const { count, sum } = latency.state as { readonly count: number; readonly sum: number }
      assert.strictEqual(count, 2)
      assert.isAbove(sum, 200)
    }))

  it.effect("shows which event of a batch could not be delivered, in its own trace", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { inRequest, ofName, tracer } = traced()
      const [, bad = ""] = yield* inRequest(emitDeals(2))
      // A type that the log has no room for cannot come from `emit`.
      yield* sql`ALTER TABLE zakops.agent_events ADD CONSTRAINT refused CHECK (id <> ${sql.literal(`'${bad}'`)})`
      const { runOnce } = yield* OutboxProcessor
      yield* Effect.ensuring(
        Effect.provideService(runOnce, Tracer, tracer),
        Effect.orDie(sql`ALTER TABLE zakops.agent_events DROP CONSTRAINT refused`)
      )
      const sends = ofName("send the event log zakops.agent_events")
      const failed = sends.find((span) => span.attributes.get("messaging.message.id") === bad)
      const creates = ofName("create zakops.outbox")
      assert.strictEqual(failed && parentId(failed), creates[1]?.spanId)
      assert.strictEqual(failed?.attributes.get("error.type"), "SqlError")
      const delivered = sends.find((span) => span !== failed)
      assert.deepStrictEqual(delivered && linkedIds(delivered), [creates[0]?.spanId])
    }))

  it.effect("shows handling an event as part of the trace that emitted it, each try for itself", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { inRequest, ofName, tracer } = traced()
      const handled = yield* Deferred.make<void>()
      let tries = 0
      const { transact } = yield* TransactionalPublisher
      const outbox = yield* Outbox
      const handle = Effect.gen(function*() {
        if (++tries === 1) return yield* new Transient({ reason: "not yet" })
        const next = yield* DealMade.make({ dealId: "d", title: "followed" })
        yield* transact(outbox.emit(next, { correlationId: randomUUID() }))
        yield* Deferred.succeed(handled, void 0)
      })
      yield* inRequest(emitDeals(1))
      yield* Effect.gen(function*() {
        const { drain } = yield* OutboxProcessor
        yield* drain
        const source = yield* Subscription.make("traced", { pollInterval: "20 millis" })
        const fiber = yield* Effect.forkChild(
          Consumer.run({ consumerId: "reader", source, handlers: [Consumer.on(DealMade, () => handle)] })
        )
        yield* Effect.raceFirst(Deferred.await(handled), Fiber.join(fiber))
        // The transaction of the handler ends after it.
        while (ofName("process traced").some((span) => span.status._tag === "Started")) yield* Effect.sleep("5 millis")
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provideService(Tracer, tracer))

      const [create, followUp] = ofName("create zakops.outbox")
      const tried = ofName("process traced")
      assert.deepStrictEqual(tried.map(parentId), [create?.spanId, create?.spanId])
      assert.deepStrictEqual(tried.map((span) => span.kind), ["consumer", "consumer"])
      assert.deepStrictEqual(tried.map(linkedIds), [[create?.spanId], [create?.spanId]])
      assert.strictEqual(tried[0]?.attributes.get("error.type"), "Transient")
      assert.isUndefined(tried[1]?.attributes.get("error.type"))
      assert.strictEqual(tried[1]?.attributes.get("messaging.consumer.group.name"), "reader")
      // What the handler emits goes on in the same trace.
      assert.strictEqual(followUp?.traceId, create?.traceId)
    }))

  it.effect("is quiet about the statements that go on by themselves", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { inRequest, ofName, spans, tracer } = traced()
      const { start } = yield* OutboxProcessor
      const ids = yield* inRequest(emitDeals(1))
      spans.length = 0
      const sql = yield* SqlClient
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.provideService(start, Tracer, tracer)
        const delivered = Effect.map(
          sql`SELECT FROM zakops.agent_events WHERE id = ${ids[0] ?? ""}::uuid`,
          (found) => found.length > 0
        )
        while (!(yield* delivered)) yield* Effect.sleep("5 millis")
        while (ofName("send the event log zakops.agent_events").length === 0) yield* Effect.sleep("5 millis")
      }))
      assert.deepStrictEqual(spans.map(({ name }) => name), ["send the event log zakops.agent_events"])
    }))

  it.effect("appends of the event store carry the context as well", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { inRequest, ofName } = traced()
      const store = yield* EventStoreModule.EventStore
      const aggregateId = randomUUID()
      const event = yield* DealMade.make({ dealId: aggregateId, title: "appended" })
      yield* inRequest(store.write({ aggregateType: "deal", aggregateId }, "noStream", [event]))
      assert.deepStrictEqual(
        (yield* rows).map(spanIdIn),
        ofName("create zakops.agent_events").map((span) => span.spanId)
      )
    }).pipe(Effect.provide(EventStoreModule.EventStore.layer)))
})

const External = services().pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

layer(External)("tracing to an external destination", (it) => {
  const sending = "send the test's destination"

  it.effect("shows each attempt in the trace of the event, with what it failed of", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const { inRequest, ofName, tracer } = traced()
      yield* inRequest(emitDeals(1))
      let around: string | undefined
      fake.respond = () => new Transient({ reason: "busy" })
      yield* Effect.provideService(runOnce, Tracer, tracer)
      fake.respond = () =>
        Effect.map(Effect.orDie(Effect.currentSpan), ({ spanId }) => {
          around = spanId
        })
      yield* TestClock.adjust("5 seconds")
      yield* Effect.provideService(runOnce, Tracer, tracer)
      const [create] = ofName("create zakops.outbox")
      const attempts = ofName(sending)
      assert.deepStrictEqual(attempts.map(parentId), [create?.spanId, create?.spanId])
      assert.deepStrictEqual(attempts.map((span) => span.attributes.get("zakops.attempt")), [1, 2])
      assert.deepStrictEqual(attempts.map((span) => span.attributes.get("error.type")), ["Transient", undefined])
      assert.deepStrictEqual(attempts.map(({ kind }) => kind), ["client", "client"])
      assert.deepStrictEqual(attempts.map((span) => span.attributes.get("messaging.system")), ["fake", "fake"])
      // The publisher's own spans and calls are part of it.
      assert.strictEqual(around, attempts[1]?.spanId)
    }))

  it.effect("makes no span where no tracer is installed", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      let names: ReadonlyArray<string> = []
      fake.respond = () =>
        Effect.map(Effect.option(Effect.currentSpan), (span) => {
          names = span._tag === "Some" ? [span.value.name] : []
        })
      yield* emitDeals(1)
      yield* runOnce
      assert.deepStrictEqual(names, [])
    }))

  it.effect("measures durations and latencies where somebody wants them, and only there", () =>
    Effect.gen(function*() {
      const { fake, runOnce } = yield* startAfresh
      const count = (id: string) =>
        Effect.map(
          Metric.snapshot,
          (all) =>
            all.filter((metric) => metric.id === id).map(({ attributes, state }) => ({
              labels: attributes,
              count: (state as { readonly count: number }).count,
              sum: (state as { readonly sum: number }).sum
            }))
        )
      yield* Effect.gen(function*() {
        yield* emitDeals(1)
        yield* runOnce
        assert.deepStrictEqual(yield* count(MessageOperation.operationDuration.id), [])
        yield* Effect.gen(function*() {
          fake.respond = () => new Permanent({ reason: "never" })
          yield* emitDeals(1)
          yield* runOnce
          fake.respond = () => Effect.void
          yield* emitDeals(1)
          yield* TestClock.adjust("7 seconds")
          yield* runOnce
        }).pipe(Effect.provideService(Measured, true))
        const durations = yield* count(MessageOperation.operationDuration.id)
        assert.deepStrictEqual(durations.map(({ labels }) => labels?.["error.type"]), ["Permanent", undefined])
        const [latency] = yield* count(DeliveryMetrics.latency.id)
        assert.deepStrictEqual(latency, {
          labels: { unit: "s", destination: "the test's destination" },
          count: 1,
          sum: 7
        })
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
    }))
})
