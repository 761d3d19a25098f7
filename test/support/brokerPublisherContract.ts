/**
 * What every publisher to a broker has to do, beside what every EventPublisher does: against a real server that is away, slow, killed,
 * started again, full, too small, or does not know us. Run it for each broker.
 */
import { assert, describe, layer } from "@effect/vitest"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { OutboxProcessor } from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Destination, eventPublisherContract } from "./eventPublisherContract.ts"
import { firstSequences } from "./keys.ts"
import { emitDeals, emptyTables, eventually, moment, services } from "./outbox.ts"
import * as TestDatabase from "./TestDatabase.ts"

type Said = PublishError["_tag"]

/** A broker of the test's own, with a destination in it that has been made ready. */
export class Broker extends Context.Service<Broker, {
  /** Ends the server as a crash does. */
  readonly kill: Effect.Effect<void>
  /** Starts it again, with what it has stored; returns when it takes events. */
  readonly start: Effect.Effect<void>
  /** Holds it still: connections stay, nothing is answered. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** A publisher of its own to the destination, with connections of its own. */
  readonly publisher: Effect.Effect<External, never, Scope.Scope>
  /** What the destination holds, in its order, with what it holds twice. */
  readonly received: Effect.Effect<ReadonlyArray<EventEnvelope>>
  /** As `publisher`, with a timeout of `patience`. */
  readonly hasty?: Effect.Effect<External, never, Scope.Scope>
  /** As `publisher`, with a password that is wrong. */
  readonly stranger?: Effect.Effect<External, never, Scope.Scope>
  /** Has the destination refuse what comes, until the scope closes. */
  readonly refuse?: Effect.Effect<void, never, Scope.Scope>
}>()("@zakops/test/Broker") {}

/** How long a publisher in a hurry waits for an acknowledgement. */
export const patience = Duration.millis(300)

export interface BrokerCases {
  /** True where the server is not there and the tests are skipped. */
  readonly missing: boolean
  /** What is said of an event while the destination refuses (`refuse`). */
  readonly refused?: Said
  /** What is said when the password is wrong (`stranger`). */
  readonly unknown?: Said
  /** The bytes of an event that is too large, and what is said of it. */
  readonly tooLarge?: { readonly bytes: number; readonly said: Said }
}

export const anEvent = (about: Partial<EventEnvelope> = {}): EventEnvelope => ({
  id: randomUUID(),
  correlationId: randomUUID(),
  aggregateType: "deal",
  aggregateId: "7",
  eventType: "deal.made",
  schemaVersion: 1,
  data: { title: "a deal" },
  traceId: null,
  headers: {},
  createdAt: new Date("2026-03-01T12:00:00.123Z"),
  orderingKey: null,
  sequence: null,
  ...about
})

/** The publisher and the far end of a broker, as the contract of all publishers wants them. */
export const layerPublisher = Layer.effectContext(Effect.gen(function*() {
  const { publisher, received } = yield* Broker
  return Context.make(EventPublisher, yield* publisher).pipe(Context.add(Destination, {
    // Each id once: a broker may hold one twice.
    received: Effect.map(received, (all) => [...new Map(all.map((event) => [event.id, event])).values()])
  }))
}))

export const brokerPublisherContract = <E>(name: string, broker: Layer.Layer<Broker, E>, cases: BrokerCases) =>
  describe.skipIf(cases.missing)(`${name}`, () => {
    eventPublisherContract("as any publisher", layerPublisher.pipe(Layer.provide(broker)))

    // The time between a lost connection and the next try is real.
    const quick = { pollInterval: Duration.millis(100), batchSize: 20 }
    const Live = services(quick).pipe(
      Layer.provideMerge(layerPublisher),
      Layer.provideMerge(broker),
      Layer.provideMerge(TestDatabase.layer)
    )
    layer(Live, { excludeTestServices: true })("whatever becomes of the server", (it) => {
      const said = (publish: Effect.Effect<void, PublishError>) => Effect.map(Effect.flip(publish), ({ _tag }) => _tag)

      const has = (id: string) =>
        Effect.gen(function*() {
          const { received } = yield* Broker
          return (yield* received).some((event) => event.id === id)
        })

      /** Again and again, while it says that the destination is down. */
      const whenUp = (publish: Effect.Effect<void, PublishError>) =>
        eventually(Effect.match(publish, { onFailure: () => false, onSuccess: () => true }))

      it.effect("says that it is down while nobody is there, also from the beginning, and delivers when it is up", () =>
        Effect.gen(function*() {
          const { kill, publisher, start } = yield* Broker
          yield* Effect.acquireRelease(kill, () => start)
          const { publish, system } = yield* publisher
          assert.include(name.toLowerCase(), system ?? "a system that telemetry can name")
          const event = anEvent()
          assert.strictEqual(yield* said(publish(event)), "TransportDown")
          assert.strictEqual(yield* said(publish(event)), "TransportDown")
          yield* start
          yield* whenUp(publish(event))
          assert.isTrue(yield* has(event.id))
        }))

      it.effect("carries the trace of the event, beside its other headers", () =>
        Effect.gen(function*() {
          const { received } = yield* Broker
          const { drain } = yield* OutboxProcessor
          yield* emptyTables
          const headers = {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            tracestate: "vendor=one,other=2",
            "x-tenant": "t1"
          }
          const [id] = yield* emitDeals(1, { headers })
          yield* drain
          assert.deepStrictEqual((yield* received).find((event) => event.id === id)?.headers, headers)
        }))

      it.effect("waits for a slow server, and does not count as delivered what it has not acknowledged", () =>
        Effect.gen(function*() {
          const { freeze, publisher, received, thaw } = yield* Broker
          const { publish } = yield* publisher
          yield* publish(anEvent())
          const events = Array.from({ length: 20 }, () => anEvent())
          yield* Effect.acquireRelease(freeze, () => thaw)
          const done: Array<string> = []
          const publishing = yield* Effect.forkChild(Effect.forEach(
            events,
            (event) => Effect.tap(publish(event), () => Effect.sync(() => done.push(event.id))),
            { concurrency: "unbounded", discard: true }
          ))
          yield* moment(300)
          assert.deepStrictEqual(done, [])
          yield* thaw
          yield* Fiber.join(publishing)
          const ids = (yield* received).map(({ id }) => id)
          for (const { id } of events) assert.include(ids, id)
        }))

      it.effect("gives a silent server up after its own timeout, and delivers when it speaks again", (context) =>
        Effect.gen(function*() {
          const { freeze, hasty, thaw } = yield* Broker
          if (hasty === undefined) return context.skip()
          const connected = yield* hasty
          yield* whenUp(connected.publish(anEvent()))
          yield* Effect.acquireRelease(freeze, () => thaw)
          // The system accepts connections for a server that stands still, and so a new one is silent as well.
          const unconnected = yield* hasty
          const event = anEvent()
          for (const { publish } of [connected, connected, unconnected]) {
            const [took, tag] = yield* Effect.timed(said(publish(event)))
            assert.strictEqual(tag, "TransportDown")
            assert.isBelow(Duration.toMillis(took), 10 * Duration.toMillis(patience))
          }
          yield* thaw
          for (const { publish } of [connected, unconnected]) yield* whenUp(publish(event))
          assert.isTrue(yield* has(event.id))
        }))

      it.effect("has not delivered what was on its way when the server was killed", () =>
        Effect.gen(function*() {
          const { freeze, kill, publisher, start } = yield* Broker
          const { publish } = yield* publisher
          yield* publish(anEvent())
          const event = anEvent()
          yield* Effect.acquireRelease(freeze, () => start)
          const publishing = yield* Effect.forkChild(said(publish(event)))
          yield* moment(300)
          yield* kill
          assert.strictEqual(yield* Fiber.join(publishing), "TransportDown")
          assert.strictEqual(yield* said(publish(event)), "TransportDown")
          yield* start
          assert.isFalse(yield* has(event.id))
          yield* whenUp(publish(event))
          assert.isTrue(yield* has(event.id))
        }))

      it.effect("keeps the order of each key over a crash of the server, and charges no attempt for it", () =>
        Effect.gen(function*() {
          const { kill, received, start } = yield* Broker
          const sql = yield* SqlClient
          yield* emptyTables
          const processor = yield* OutboxProcessor
          const keys = ["a", "b", "c", "d", "e"]
          const ids: Array<string> = []
          for (let turn = 0; turn < 4; turn++) {
            for (const orderingKey of keys) ids.push(...(yield* emitDeals(15, { orderingKey })))
          }
          const delivered = Effect.map(
            sql<{ n: number }>`SELECT count(*)::int AS n FROM zakops.outbox WHERE status = 'delivered'`,
            ([row]) => row?.n ?? 0
          )
          yield* Effect.addFinalizer(() => start)
          yield* Effect.scoped(Effect.gen(function*() {
            yield* processor.start
            yield* eventually(Effect.map(delivered, (n) => n >= 40))
            yield* kill
            // A server that is back at once may not be missed.
            yield* eventually(Effect.map(
              sql`SELECT 1 FROM zakops.outbox_attempts WHERE outcome = 'handed_back' LIMIT 1`,
              (rows) => rows.length > 0
            ))
            yield* start
            yield* eventually(Effect.map(delivered, (n) => n === ids.length))
          }))
          assert.deepStrictEqual(yield* sql`SELECT DISTINCT attempts FROM zakops.outbox`, [{ attempts: 1 }])
          const events = (yield* received).filter(({ id }) => ids.includes(id))
          assert.strictEqual(new Set(events.map(({ id }) => id)).size, ids.length)
          const first = firstSequences(events)
          assert.sameMembers([...first.keys()], keys)
          for (const sequences of first.values()) {
            assert.deepStrictEqual(sequences, sequences.toSorted((one, other) => one - other))
          }
        }))

      const { refused, tooLarge, unknown } = cases
      if (refused !== undefined) {
        it.effect(`says ${refused} while the destination refuses, and delivers when it takes events again`, () =>
          Effect.gen(function*() {
            const { publisher, refuse } = yield* Broker
            const { publish } = yield* publisher
            const event = anEvent()
            yield* Effect.scoped(Effect.gen(function*() {
              yield* refuse ?? Effect.die("the broker has no way to refuse")
              assert.strictEqual(yield* said(publish(event)), refused)
              assert.isFalse(yield* has(event.id))
            }))
            yield* whenUp(publish(event))
            assert.isTrue(yield* has(event.id))
          }))
      }

      if (unknown !== undefined) {
        it.effect(`says ${unknown} where its password is wrong, and delivers nothing`, () =>
          Effect.gen(function*() {
            const { stranger } = yield* Broker
            const { publish } = yield* stranger ?? Effect.die("the broker lets everybody in")
            const event = anEvent()
            assert.strictEqual(yield* said(publish(event)), unknown)
            assert.isFalse(yield* has(event.id))
          }))
      }

      if (tooLarge !== undefined) {
        it.effect(`says ${tooLarge.said} of an event that is too large, and delivers those beside it`, () =>
          Effect.gen(function*() {
            const { publisher } = yield* Broker
            const { publish } = yield* publisher
            const beside = Array.from({ length: 10 }, () => anEvent())
            const large = anEvent({ data: { text: "x".repeat(tooLarge.bytes) } })
            const results = yield* Effect.forEach(
              [...beside.slice(0, 5), large, ...beside.slice(5)],
              (event) => Effect.exit(publish(event)),
              { concurrency: "unbounded" }
            )
            assert.deepStrictEqual(results.map(Exit.isSuccess), results.map((_, index) => index !== 5))
            assert.strictEqual(yield* said(publish(large)), tooLarge.said)
            yield* publish(anEvent())
            for (const { id } of beside) assert.isTrue(yield* has(id))
            assert.isFalse(yield* has(large.id))
          }))
      }
    })
  })
