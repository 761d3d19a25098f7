/**
 * Makes a handler's effects in this database happen once for each event and consumer, however often the event is delivered.
 *
 * The inbox row is inserted first and the handler runs in the same transaction: both are committed, or neither. Of two deliveries at the
 * same time the second waits for the first and then skips. What a handler does outside the database (mails, calls) is not covered.
 */
import { labelled } from "@zakops/events/labelled"
import { uuidV7 } from "@zakops/events/uuidV7"
import * as Database from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"

/** One delivery of an event to a consumer. */
export interface Delivery {
  /** The event's id: a UUID. */
  readonly eventId: string
  /** Who handles it: 1 to 100 characters. Another consumer handles the same event for itself. */
  readonly consumerId: string
}

/** What is asked for is no delivery: the event id is no UUID, or the consumer id has no or more than 100 characters. */
export class InvalidDelivery extends Schema.TaggedError<InvalidDelivery>()("InvalidDelivery", {
  field: Schema.Literals(["eventId", "consumerId"]),
  value: Schema.String
}) {
  override get message() {
    const allowed = this.field === "eventId" ? "a UUID" : "1 to 100 characters without NUL"
    return `${this.field} is ${JSON.stringify(this.value.slice(0, 120))}: allowed is ${allowed}`
  }
}

/** The guard of one delivery, open until its scope closes. */
export interface OpenGuard {
  /** False where the event was handled before: there is nothing to do. */
  readonly shouldProcess: boolean
  /** Runs `self` in the guard's transaction. What runs outside of it is not undone when the guard rolls back. */
  readonly within: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export class InboxGuard extends Context.Service<InboxGuard, {
  /**
   * Runs `handler` unless this consumer has handled the event: `some` of its result, or `none` when it was skipped. Runs in a transaction
   * of its own, or in a savepoint of the open one. A handler that fails leaves no inbox row, so that the next delivery tries again.
   */
  readonly once: <A, E, R>(
    delivery: Delivery,
    handler: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | SqlError | InvalidDelivery, R>
  /**
   * As `once`, for many events in one transaction: `handler` gets those event ids that were not handled yet, in the order given, each
   * once. It is not called when there are none. When it fails, all of them will be delivered again.
   */
  readonly onceForEach: <A, E, R>(
    consumerId: string,
    eventIds: ReadonlyArray<string>,
    handler: (newIds: ReadonlyArray<string>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | SqlError | InvalidDelivery, R>
  /**
   * Opens a transaction on a connection of its own and looks whether to process; what runs `within` it commits with the inbox row when
   * the scope closes in success, and is rolled back when it closes in failure. A COMMIT that fails is a defect of the scope's closing.
   *
   * @example
   * Effect.scoped(Effect.gen(function*() {
   *   const guard = yield* inbox.open({ eventId, consumerId: "mailer" })
   *   if (guard.shouldProcess) yield* guard.within(handle(event))
   * }))
   */
  readonly open: (delivery: Delivery) => Effect.Effect<OpenGuard, SqlError | InvalidDelivery, Scope.Scope>
}>()("@zakops/inbox/InboxGuard") {
  static readonly layer = Layer.effect(
    InboxGuard,
    Effect.gen(function*() {
      const db = yield* Database.make
      const { sql } = db
      const record = recordDeliveries(db)

      const once = Effect.fnUntraced(function*<A, E, R>(delivery: Delivery, handler: Effect.Effect<A, E, R>) {
        yield* check(delivery)
        return yield* sql.withTransaction(Effect.gen(function*() {
          const recorded = yield* record(delivery.consumerId, [delivery.eventId])
          yield* count(delivery.consumerId, recorded.length, 1)
          return recorded.length === 0 ? Option.none<A>() : Option.some(yield* handler)
        })).pipe(SqlErrors.lostAsFailure)
      })

      const onceForEach = Effect.fnUntraced(function*<A, E, R>(
        consumerId: string,
        eventIds: ReadonlyArray<string>,
        handler: (newIds: ReadonlyArray<string>) => Effect.Effect<A, E, R>
      ) {
        yield* Effect.forEach(eventIds, (eventId) => check({ consumerId, eventId }), { discard: true })
        const ids = [...new Set(eventIds.map((id) => id.toLowerCase()))]
        return yield* sql.withTransaction(Effect.gen(function*() {
          const recorded = new Set(yield* record(consumerId, ids))
          yield* count(consumerId, recorded.size, eventIds.length)
          const newIds = ids.filter((id) => recorded.has(id))
          return newIds.length === 0 ? Option.none<A>() : Option.some(yield* handler(newIds))
        })).pipe(SqlErrors.lostAsFailure)
      })

      const open = Effect.fnUntraced(function*(delivery: Delivery) {
        yield* check(delivery)
        const connection = yield* sql.reserve
        const within = Effect.provideService(sql.transactionService, [connection, 0] as const)
        yield* Effect.acquireRelease(
          connection.executeUnprepared("BEGIN", [], undefined),
          (_, exit) =>
            Effect.orDie(connection.executeUnprepared(Exit.isSuccess(exit) ? "COMMIT" : "ROLLBACK", [], undefined))
        )
        const recorded = yield* within(record(delivery.consumerId, [delivery.eventId]))
        yield* count(delivery.consumerId, recorded.length, 1)
        return { shouldProcess: recorded.length > 0, within }
      })

      return InboxGuard.of({ once, onceForEach, open })
    })
  )
}

/**
 * Inserts the inbox rows that are not there yet and gives their event ids. Waits for another transaction that is inserting one of them.
 * The ids are sorted, so that two overlapping batches wait for each other in one order and cannot deadlock.
 */
const recordDeliveries = ({ now, sql, table }: Database.Database) =>
  Effect.fnUntraced(function*(consumerId: string, eventIds: ReadonlyArray<string>) {
    const time = yield* now
    const sorted = eventIds.toSorted()
    const rows = yield* sql<{ event_id: string }>`
      INSERT INTO ${table.inbox} (id, event_id, consumer_id, processed_at)
      SELECT id, event_id, ${consumerId}, ${time}
      FROM unnest(${sorted.map(() => uuidV7())}::uuid[], ${sorted}::uuid[]) AS delivery (id, event_id)
      ON CONFLICT (event_id, consumer_id) DO NOTHING
      RETURNING event_id`
    return rows.map((row) => row.event_id)
  })

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const check = ({ consumerId, eventId }: Delivery): Effect.Effect<void, InvalidDelivery> =>
  !uuid.test(eventId)
    ? Effect.fail(new InvalidDelivery({ field: "eventId", value: eventId }))
    : consumerId.length === 0 || consumerId.length > 100 || consumerId.includes("\u0000")
    ? Effect.fail(new InvalidDelivery({ field: "consumerId", value: consumerId }))
    : Effect.void

/**
 * The metric `zakops.inbox.deliveries` {consumer, outcome}. `processed` counts handlers that were begun, also those that fail then;
 * `skipped` are duplicates.
 */
export const deliveries = Metric.counter("zakops.inbox.deliveries", {
  description: "Deliveries to guarded consumers, by consumer and outcome",
  attributes: { unit: "{delivery}" },
  incremental: true
})
const deliveriesBy = labelled(deliveries)
export const processed = (consumer: string) => deliveriesBy({ consumer, outcome: "processed" })
export const skipped = (consumer: string) => deliveriesBy({ consumer, outcome: "skipped" })

const count = (consumer: string, begun: number, delivered: number) =>
  Effect.andThen(Metric.update(processed(consumer), begun), Metric.update(skipped(consumer), delivered - begun))
