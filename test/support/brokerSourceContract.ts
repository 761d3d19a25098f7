/**
 * What every source of a broker has to do, beside what every EventSource does: the whole way of an event from the transaction that emits it
 * to a handler whose effect is there once, with duplicates forced, and over a crash of the server. Run it for each broker.
 */
import { assert, describe, layer } from "@effect/vitest"
import type { Options } from "@zakops/events/BrokerSource"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External } from "@zakops/events/EventPublisher"
import { EventPublisher } from "@zakops/events/EventPublisher"
import type { EventSource } from "@zakops/events/EventSource"
import { SetAside } from "@zakops/events/EventSource"
import { Consumer, InboxGuard } from "@zakops/inbox"
import { Outbox, OutboxProcessor, TransactionalPublisher } from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { anEvent } from "./brokerPublisherContract.ts"
import { eventSourceContract, SourceUnderTest } from "./eventSourceContract.ts"
import { emptyTables, eventually, services } from "./outbox.ts"
import * as TestDatabase from "./TestDatabase.ts"

/** A broker with a destination in it that can be read, empty at first. */
export class ReadableBroker extends Context.Service<ReadableBroker, {
  /** A publisher to the destination. */
  readonly publisher: Effect.Effect<External, never, Scope.Scope>
  /**
   * Reads the destination from its beginning, or from where the name has left it. The names are those of `sourceNames`: a broker that
   * keeps events only for those that it knows has to be told them before. What is set aside comes again at once, or nearly so.
   */
  readonly source: (name: string, options?: Options) => EventSource
  /** Puts an event there once more, past whatever the broker has against duplicates. */
  readonly again: (event: EventEnvelope) => Effect.Effect<void>
  /** Puts a message there that is no event. */
  readonly garbage: Effect.Effect<void>
  /** Ends the server as a crash does, and starts it again; what it has stored is there. Left out where that cannot be. */
  readonly restart?: Effect.Effect<void>
}>()("@zakops/test/ReadableBroker") {}

/** The names under which the contract reads. */
export const sourceNames = [
  "in order",
  "fails",
  "all of fails",
  "interrupted",
  "set aside",
  "one",
  "another",
  "behind",
  "round trip",
  "crash",
  "stops",
  "rejects"
]

/** After what time the sources of a test hand out again what was set aside. */
export const asideFor = Duration.millis(200)

const layerSource = Layer.effect(
  SourceUnderTest,
  Effect.gen(function*() {
    const { publisher, source } = yield* ReadableBroker
    const { publish } = yield* publisher
    return {
      open: (name) => Effect.sync(() => source(name, { asideFor })),
      publish: (count) => {
        // Of an aggregate each: what is behind one that is set aside would wait for it.
        const events = Array.from({ length: count }, () => anEvent({ aggregateId: randomUUID() }))
        return Effect.as(Effect.orDie(Effect.forEach(events, publish, { discard: true })), events.map(({ id }) => id))
      },
      // It comes by itself.
      release: () => Effect.void
    }
  })
)

const Was = EventDefinition.make("loan.paid", {
  aggregateType: "loan",
  aggregateId: ({ loan }) => loan,
  payload: Schema.Struct({ loan: Schema.String, amount: Schema.Int }),
  delivery: { orderBy: "aggregate" }
})
const Is = EventDefinition.make("loan.paid", {
  version: 2,
  aggregateType: "loan",
  aggregateId: ({ loan }) => loan,
  payload: Schema.Struct({ loan: Schema.String, amount: Schema.Int, currency: Schema.String }),
  upcasters: { 1: (json) => ({ ...(json as object), currency: "EUR" }) }
})

export const brokerSourceContract = <E>(
  name: string,
  broker: Layer.Layer<ReadableBroker, E>,
  { missing }: { readonly missing: boolean }
) =>
  describe.skipIf(missing)(`${name}`, () => {
    eventSourceContract("as any source", layerSource.pipe(Layer.provide(broker)))

    const Live = InboxGuard.layer.pipe(
      Layer.provideMerge(services({ pollInterval: Duration.millis(100) })),
      Layer.provideMerge(Layer.effect(EventPublisher, Effect.flatMap(ReadableBroker, ({ publisher }) => publisher))),
      Layer.provideMerge(broker),
      Layer.provideMerge(TestDatabase.layer)
    )
    layer(Live, { excludeTestServices: true })("and the way there", (it) => {
      /** A consumer that books payments, and what it has booked on some loans: a second time would show. */
      const book = Effect.fnUntraced(function*(consumerId: string, loans: ReadonlyArray<string>) {
        const sql = yield* SqlClient
        const { source } = yield* ReadableBroker
        assert.include(name.toLowerCase(), source(consumerId).system ?? "a system that telemetry can name")
        yield* sql`CREATE TABLE IF NOT EXISTS booked (id bigint GENERATED ALWAYS AS IDENTITY, consumer text, loan text,
          amount int, currency text)`
        const reading = yield* Effect.forkChild(Consumer.run({
          consumerId,
          source: source(consumerId),
          handlers: [Consumer.on(Is, ({ data }) =>
            sql`INSERT INTO booked (consumer, loan, amount, currency)
              VALUES (${consumerId}, ${data.loan}, ${data.amount}, ${data.currency})`)]
        }))
        const booked = sql<{ loan: string; amount: number; currency: string }>`
          SELECT loan, amount, currency FROM booked WHERE consumer = ${consumerId} AND loan = any(${loans}) ORDER BY id`
        return { booked, reading }
      })

      const pay = Effect.fnUntraced(
        function*(payments: ReadonlyArray<{ readonly loan: string; readonly amount: number }>) {
          const { transact } = yield* TransactionalPublisher
          const outbox = yield* Outbox
          const events = yield* Effect.forEach(payments, (payment) => Was.make(payment))
          return yield* transact(outbox.emitAll(events.map((event) => ({ event, correlationId: randomUUID() }))))
        }
      )

      it.effect("from the transaction to the handler: once, of the newest version, whatever comes twice", () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient
          const { again } = yield* ReadableBroker
          const { drain } = yield* OutboxProcessor
          const { transact } = yield* TransactionalPublisher
          yield* emptyTables
          const loan = randomUUID()
          const { booked, reading } = yield* book("round trip", [loan])
          const [id = ""] = yield* pay([{ loan, amount: 5 }])
          yield* Effect.ignore(transact(Effect.andThen(pay([{ loan, amount: 6 }]), Effect.fail("no"))))
          yield* drain
          yield* eventually(Effect.map(booked, (rows) => rows.length > 0))
          // From the outbox again, as after a crash before it was settled; and in the broker twice more.
          yield* sql`UPDATE zakops.outbox SET status = 'pending', delivered_at = NULL WHERE id = ${id}::uuid`
          assert.strictEqual((yield* drain).delivered, 1)
          const event = yield* Was.make({ loan, amount: 5 })
          const copy = anEvent({
            id,
            eventType: "loan.paid",
            aggregateType: "loan",
            aggregateId: loan,
            orderingKey: event.aggregateId,
            data: JSON.parse(event.json)
          })
          yield* again(copy)
          yield* again(copy)
          // What comes behind them shows that they have been here.
          yield* pay([{ loan, amount: 7 }])
          yield* drain
          yield* eventually(Effect.map(booked, (rows) => rows.some(({ amount }) => amount === 7)))
          yield* Fiber.interrupt(reading)
          assert.deepStrictEqual(yield* booked, [
            { loan, amount: 5, currency: "EUR" },
            { loan, amount: 7, currency: "EUR" }
          ])
        }))

      it.effect("keeps those of an aggregate behind the one that is set aside, and lets the others by", () =>
        Effect.gen(function*() {
          const { publisher, source } = yield* ReadableBroker
          const { publish } = yield* publisher
          const [mine, other] = [randomUUID(), randomUUID()]
          const events = [mine, other, mine, other, mine].map((aggregateId) => anEvent({ aggregateId }))
          const ids = events.map(({ id }) => id)
          yield* Effect.forEach(events, publish, { discard: true })
          const seen: Array<string> = []
          let refusals = 0
          const reading = yield* Effect.forkChild(
            source("behind", { asideFor }).consume((batch) =>
              Effect.gen(function*() {
                for (const { id } of batch) {
                  if (id === ids[0] && refusals < 3) {
                    refusals++
                    return yield* new SetAside({ eventId: id, reason: "newer", error: "not known yet" })
                  }
                  if (ids.includes(id)) seen.push(id)
                }
              })
            )
          )
          yield* eventually(Effect.sync(() => seen.length >= ids.length))
          yield* Fiber.interrupt(reading)
          assert.strictEqual(refusals, 3)
          assert.deepStrictEqual(seen.toSorted(), ids.toSorted())
          assert.deepStrictEqual(seen.slice(0, 2), [ids[1], ids[3]])
          assert.deepStrictEqual(seen.slice(2), [ids[0], ids[2], ids[4]])
        }))

      it.effect("goes on over a crash of the server: each handled once, each key in order", (context) =>
        Effect.gen(function*() {
          const { restart } = yield* ReadableBroker
          if (restart === undefined) return context.skip()
          const processor = yield* OutboxProcessor
          yield* emptyTables
          const loans = [randomUUID(), randomUUID(), randomUUID()]
          const { booked, reading } = yield* book("crash", loans)
          yield* Effect.scoped(Effect.gen(function*() {
            yield* processor.start
            const first = Array.from({ length: 60 }, (_, amount) => ({ loan: loans[amount % 3] ?? "", amount }))
            yield* pay(first)
            yield* eventually(Effect.map(booked, (rows) => rows.length >= 10))
            yield* restart
            yield* pay(first.map(({ amount, loan }) => ({ loan, amount: amount + 60 })))
            yield* eventually(Effect.map(booked, (rows) => rows.length >= 120), 60)
          }))
          yield* Fiber.interrupt(reading)
          const rows = yield* booked
          assert.strictEqual(rows.length, 120)
          for (const loan of loans) {
            const amounts = rows.filter((row) => row.loan === loan).map(({ amount }) => amount)
            assert.deepStrictEqual(amounts, amounts.toSorted((one, other) => one - other))
            assert.strictEqual(new Set(amounts).size, 40)
          }
        }))

      it.effect("stops at a message that is no event, and names it, or rejects it and goes on", () =>
        Effect.gen(function*() {
          const { garbage, publisher, source } = yield* ReadableBroker
          const { publish } = yield* publisher
          yield* garbage
          const behind = anEvent()
          yield* publish(behind)
          const seen: Array<string> = []
          const see = (batch: ReadonlyArray<EventEnvelope>) =>
            Effect.sync(() => void seen.push(...batch.map(({ id }) => id)))
          for (let time = 0; time < 2; time++) {
            const failed = yield* Effect.flip(source("stops").consume(see))
            assert.include(failed.message, "no CloudEvent")
          }
          assert.notInclude(seen, behind.id)
          const reading = yield* Effect.forkChild(source("rejects", { unreadable: "reject" }).consume(see))
          yield* eventually(Effect.sync(() => seen.includes(behind.id)))
          yield* Fiber.interrupt(reading)
        }))
    })
  })
