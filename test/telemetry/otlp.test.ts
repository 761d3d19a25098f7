/** One event's whole way as a collector is told of it: the request that emitted it, each attempt, and the consumer. */
import { assert, describe, it } from "@effect/vitest"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import { Transient } from "@zakops/events/EventPublisher"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { OutboxProcessor } from "@zakops/outbox"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import * as Otlp from "@zakops/telemetry/Otlp"
import * as Logs from "@zakops/telemetry/Logs"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { DealMade } from "../support/events.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, services } from "../support/outbox.ts"
import type { Receiver } from "../support/otlpReceiver.ts"
import { otlpReceiver, spansIn } from "../support/otlpReceiver.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Program = Layer.mergeAll(services(), InboxGuard.layer).pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

/** Runs `self` with the exporters, as the variables have it; they have sent all when it is over. */
const exporting = (receiver: Receiver, more: Record<string, string> = {}) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(
    Effect.provide(
      Otlp.layerFromEnvironment("the-test").pipe(
        Layer.provide(environment({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...more }))
      )
    )
  )

/** What the fake destination took, for one consumer: a broker of one message. */
const sourceOf = (taken: Deferred.Deferred<EventEnvelope>, handled: Deferred.Deferred<void>) => ({
  name: "the test's queue",
  consume: <E, R>(handle: (batch: readonly [EventEnvelope]) => Effect.Effect<void, E, R>) =>
    Effect.flatMap(
      Deferred.await(taken),
      (envelope) => Effect.andThen(handle([envelope]), Effect.andThen(Deferred.succeed(handled, void 0), Effect.never))
    )
})

/** An event that is emitted in a request, delivered at the second attempt, and handled. */
const oneEvent = Effect.gen(function*() {
  const fake = yield* FakePublisher
  const { runOnce } = yield* OutboxProcessor
  const taken = yield* Deferred.make<EventEnvelope>()
  const handled = yield* Deferred.make<void>()
  const consumer = yield* Effect.forkChild(Consumer.run({
    consumerId: "mailer",
    source: sourceOf(taken, handled) as Parameters<typeof Consumer.run>[0]["source"],
    handlers: [Consumer.on(DealMade, () => Effect.logInfo("the handler is at it"))]
  }))
  const [id = ""] = yield* Effect.withSpan(emitDeals(1), "POST /deals", { kind: "server" })
  fake.respond = () => new Transient({ reason: "busy" })
  yield* runOnce
  fake.respond = (envelope) => Effect.asVoid(Deferred.succeed(taken, envelope))
  yield* TestClock.adjust("5 seconds")
  yield* runOnce
  yield* Deferred.await(handled)
  yield* Fiber.interrupt(consumer)
  return id
})

describe("a collector", () => {
  it.effect("is told the whole way of an event in one trace", () =>
    Effect.gen(function*() {
      const receiver = yield* otlpReceiver
      const id = yield* exporting(receiver, { OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" })(
        oneEvent.pipe(Effect.provide(Program))
      )
      const spans = spansIn(receiver)
      const request = spans.find(({ name }) => name === "POST /deals")
      const whole = spans.filter(({ traceId }) => traceId === request?.traceId)
      const ofMessage = whole.filter(({ attributes }) => attributes["messaging.message.id"] === id)
      assert.deepStrictEqual(
        ofMessage.map(({ attributes, kind, name }) => [name, kind, attributes["error.type"]]).toSorted(),
        [
          ["create zakops.outbox", 4, undefined],
          ["process the test's queue", 5, undefined],
          ["send the test's destination", 3, undefined],
          ["send the test's destination", 3, "Transient"]
        ]
      )
      const create = ofMessage.find(({ kind }) => kind === 4) ?? assert.fail("no span of emitting")
      for (const span of ofMessage.filter((span) => span !== create)) {
        assert.strictEqual(span.parentSpanId, create.spanId)
        assert.deepStrictEqual(span.links.map(({ spanId }) => spanId), [create.spanId])
        assert.strictEqual(span.attributes["messaging.system"], span.name.startsWith("send") ? "fake" : "zakops")
      }
      assert.strictEqual(
        ofMessage.find(({ kind }) => kind === 5)?.attributes["messaging.consumer.group.name"],
        "mailer"
      )
      // The statement of the emission, in its transaction, in the request.
      const byId = new Map(whole.map((span) => [span.spanId, span]))
      const ancestors = (span: typeof create): ReadonlyArray<string> => {
        const parent = byId.get(span.parentSpanId ?? "")
        return parent === undefined ? [span.name] : [span.name, ...ancestors(parent)]
      }
      assert.strictEqual(ancestors(create).at(-1), "POST /deals")
      assert.deepStrictEqual([...new Set(spans.map(({ service }) => service))], ["the-test"])

      const sent = (path: string) =>
        receiver.received.filter((one) => one.path === path).map(({ body }) => body.toString()).join()
      for (
        const metric of [
          "zakops.outbox.attempts",
          "zakops.outbox.delivery.latency",
          "zakops.inbox.deliveries",
          "messaging.client.operation.duration",
          "messaging.process.duration"
        ]
      ) {
        assert.include(sent("/v1/metrics"), `"${metric}"`)
      }
      assert.include(sent("/v1/logs"), "the handler is at it")
      assert.include(sent("/v1/logs"), create.traceId)
    }), 60_000)

  it.effect("is sent protobuf, and only what is asked for", () =>
    Effect.gen(function*() {
      const receiver = yield* otlpReceiver
      yield* exporting(receiver, { OTEL_LOGS_EXPORTER: "none" })(Effect.withSpan(Effect.logInfo("unsent"), "some work"))
      assert.deepStrictEqual([...new Set(receiver.received.map(({ path }) => path))].toSorted(), [
        "/v1/metrics",
        "/v1/traces"
      ])
      assert.deepStrictEqual([...new Set(receiver.received.map(({ contentType }) => contentType))], [
        "application/x-protobuf"
      ])
    }))

  it.effect("is left in peace where no endpoint is set, and no tracer is installed then", () =>
    Effect.gen(function*() {
      const hasTracer = Effect.withFiber((fiber) => Effect.succeed(fiber.cache.tracer !== undefined))
      const layer = Otlp.layerFromEnvironment("the-test").pipe(Layer.provide(environment({})))
      assert.isFalse(yield* Effect.provide(hasTracer, layer))
    }))
})

describe("a line of the log as JSON", () => {
  const lineOf = (self: Effect.Effect<void>) =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const { Logger } = yield* Effect.promise(() => import("effect"))
      yield* Effect.provide(self, Logger.layer([Logger.map(Logs.formatJson, (line) => lines.push(line))]))
      return JSON.parse(lines[0] ?? "") as Record<string, unknown>
    })

  it.effect("has the ids of the span that it belongs to, where somebody records it", () =>
    Effect.gen(function*() {
      const receiver = yield* otlpReceiver
      const log = Effect.annotateLogs(Effect.logWarning("slow", { millis: 7n }), "tenant", "t1")
      const plain = yield* lineOf(Effect.withSpan(log, "nobody records this"))
      assert.deepInclude(plain, { level: "WARN", message: ["slow", { millis: "7" }], annotations: { tenant: "t1" } })
      assert.notProperty(plain, "trace_id")
      const traced = yield* exporting(receiver)(Effect.withSpan(lineOf(log), "request"))
      assert.match(String(traced["trace_id"]), /^[0-9a-f]{32}$/)
      assert.match(String(traced["span_id"]), /^[0-9a-f]{16}$/)
    }))
})
