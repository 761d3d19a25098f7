/** Keys of subjects, made, looked up and forgotten in transactions that run at the same time. */
import { assert, layer } from "@effect/vitest"
import * as Decider from "@zakops/event-store/Decider"
import * as EventLog from "@zakops/event-store/EventLog"
import { EventStore } from "@zakops/event-store/EventStore"
import * as PostgresSubjectKeys from "@zakops/event-store/PostgresSubjectKeys"
import * as EventDefinition from "@zakops/events/EventDefinition"
import * as Personal from "@zakops/events/Personal"
import { SubjectKeys } from "@zakops/events/SubjectKeys"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { counterWithSnapshots } from "../support/counter.ts"
import { services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Layer.mergeAll(EventStore.layer, PostgresSubjectKeys.layer).pipe(
  Layer.provideMerge(services()),
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)

const payload = Schema.Struct({ customerId: Schema.String, name: Personal.field(Schema.String) })
const Joined = EventDefinition.make("customer.joined", {
  aggregateType: "customer",
  subject: (customer) => customer.customerId,
  payload
})
const Noted = EventDefinition.make("customer.noted", { aggregateType: "customer", payload: Schema.Struct({}) })
/** Leaves it to its maker whose data it holds. */
const Bare = EventDefinition.make("customer.bare", { aggregateType: "customer", payload })

const State = Schema.Array(Schema.Union([Schema.String, Personal.Forgotten]))
const snapshot = { name: "names", version: 1, every: 1, state: State }
const Customer = Decider.make({
  aggregateType: "customer",
  definitions: [Joined, Noted],
  initial: [] as typeof State.Type,
  decide: (command: { readonly customerId: string; readonly name?: string }) =>
    Result.succeed([
      command.name === undefined ? Noted.of({}) : Joined.of({ customerId: command.customerId, name: command.name })
    ]),
  evolve: (names, event) => event.type === "customer.joined" ? [...names, event.data.name] : names,
  snapshot
})
const BareCustomer = Decider.make({
  aggregateType: "customer",
  definitions: [Bare],
  initial: [] as typeof State.Type,
  decide: (command: { readonly customerId: string; readonly name: string }) => Result.succeed([Bare.of(command)]),
  evolve: (names, event) => [...names, event.data.name],
  snapshot
})

layer(Live, { excludeTestServices: true })("keys of subjects", (it) => {
  it.effect("are made in more transactions at a time than there are connections", () =>
    Effect.gen(function*() {
      const { execute, transact } = yield* EventStore
      const { find } = yield* SubjectKeys
      const ids = Array.from({ length: 30 }, () => randomUUID())
      yield* Effect.forEach(
        ids,
        (customerId) => transact(execute(Customer, customerId, { customerId, name: "Jane" })),
        { concurrency: "unbounded", discard: true }
      )
      const known = yield* Effect.forEach(ids, find)
      assert.isTrue(known.every(({ _tag }) => _tag === "Known"))
    }), 10_000)

  it.effect("are not made for somebody whom the same transaction has forgotten", () =>
    Effect.gen(function*() {
      const { transact } = yield* EventStore
      const { forget } = yield* SubjectKeys
      const customerId = randomUUID()
      const error = yield* Effect.flip(
        transact(Effect.andThen(forget(customerId), Joined.make({ customerId, name: "Jane" })))
      )
      assert.strictEqual(error._tag, "InvalidEvent")
      assert.include(error.message, "was forgotten")
    }), 10_000)

  it.effect("of others can be made while one waits for somebody who is being forgotten", () =>
    Effect.gen(function*() {
      const { transact } = yield* EventStore
      const { forget } = yield* SubjectKeys
      const one = randomUUID()
      const forgotten = yield* Deferred.make<void>()
      const waiting = Array.from({ length: 4 }, () =>
        Effect.andThen(
          Deferred.await(forgotten),
          Effect.result(transact(Joined.make({ customerId: one, name: "Jane" })))
        ))
      const fibers = yield* Effect.forEach(waiting, (self) => Effect.forkChild(self))
      yield* transact(Effect.gen(function*() {
        yield* forget(one)
        yield* Deferred.succeed(forgotten, void 0)
        for (let n = 0; n < 20; n++) {
          yield* Joined.make({ customerId: randomUUID(), name: "John" })
        }
      }))
      for (const result of yield* Effect.forEach(fibers, Fiber.join)) {
        assert.strictEqual(Result.isFailure(result) ? result.failure._tag : "made", "InvalidEvent")
      }
    }), 10_000)

  it.effect.each(["x".repeat(201), "a\u0000", "\ud800", ""])(
    "are refused for a name that cannot be kept: %j",
    (customerId) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Joined.make({ customerId, name: "Jane" }))
        assert.deepInclude({ ...error }, { _tag: "InvalidEvent", field: "data.name" })
      })
  )

  it.effect("are forgotten again where two forgettings met in a deadlock", () =>
    Effect.gen(function*() {
      const { execute, transact } = yield* EventStore
      const { find, forget } = yield* SubjectKeys
      const ids = [randomUUID(), randomUUID()]
      const began = yield* Effect.forEach(ids, () => Deferred.make<void>())
      yield* Effect.forEach(ids, (id, index) =>
        transact(Effect.gen(function*() {
          // Writes a snapshot: the other's forgetting waits for this transaction, and this one's for the other.
          yield* execute(counterWithSnapshots(1), randomUUID(), { add: 1, times: 12 })
          yield* Deferred.succeed(began[index] ?? assert.fail(), void 0)
          yield* Effect.forEach(began, Deferred.await)
          yield* forget(id)
        })), { concurrency: 2, discard: true })
      assert.deepStrictEqual((yield* Effect.forEach(ids, find)).map(({ _tag }) => _tag), ["Forgotten", "Forgotten"])
    }))
})

layer(Live, { excludeTestServices: true })("a snapshot of personal fields", (it) => {
  it.effect("is deleted with the key, also where the definition leaves open whose data it holds", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { execute, load } = yield* EventStore
      const { forget } = yield* SubjectKeys
      const customerId = randomUUID()
      const asCustomer = Effect.provideService(Personal.Subject, customerId)
      yield* asCustomer(execute(BareCustomer, customerId, { customerId, name: "Ann" }))
      const kept = sql`SELECT 1 FROM zakops.snapshots WHERE aggregate_id = ${customerId}`
      assert.lengthOf(yield* kept, 1)
      yield* forget(customerId)
      assert.lengthOf(yield* kept, 0)
      assert.deepStrictEqual((yield* asCustomer(load(BareCustomer, customerId))).state, [Personal.forgotten])
    }))

  it.effect("is not written from a state that was loaded before somebody was forgotten, however long ago", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const other = yield* TestDatabase.otherClient
      const { execute } = yield* EventStore
      const { forget } = yield* SubjectKeys
      const customerId = randomUUID()
      yield* execute(Customer, customerId, { customerId, name: "Secret" })
      const [held, mayGo] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const holding = yield* Effect.forkChild(other.withTransaction(Effect.gen(function*() {
        yield* other`SELECT 1 FROM zakops.streams WHERE aggregate_id = ${customerId} FOR UPDATE`
        yield* Deferred.succeed(held, void 0)
        yield* Deferred.await(mayGo)
      })))
      yield* Deferred.await(held)
      const noting = yield* Effect.forkChild(execute(Customer, customerId, { customerId }))
      // Has loaded the name in the clear, and waits for the stream.
      const waits =
        other`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
      while ((yield* waits).length === 0) yield* Effect.sleep("5 millis")
      yield* forget(customerId)
      yield* sql`UPDATE zakops.subject_keys SET forgotten_at = forgotten_at - interval '1 hour' WHERE subject = ${customerId}`
      yield* Deferred.succeed(mayGo, void 0)
      yield* Fiber.join(holding)
      assert.strictEqual((yield* Fiber.join(noting)).version, 2)
      assert.lengthOf(yield* sql`SELECT 1 FROM zakops.snapshots WHERE aggregate_id = ${customerId}`, 0)
      yield* execute(Customer, customerId, { customerId })
      const [later] = yield* sql<
        { state: unknown }
      >`SELECT state FROM zakops.snapshots WHERE aggregate_id = ${customerId}`
      assert.deepStrictEqual(later?.state, [{ _tag: "Forgotten" }])
    })))
})
