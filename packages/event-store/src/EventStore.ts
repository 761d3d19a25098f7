/**
 * The event store: what was decided, in streams of versions, written to the log and the outbox in one statement of the caller's
 * transaction.
 *
 * An append is taken whole or not at all, and only at the version that was expected. Each event has the same id in the log, in the
 * outbox, and at every destination that the outbox delivers to.
 */
import type { Event, Happening } from "@zakops/events/EventDefinition"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as Database from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { NewEntry } from "@zakops/outbox/emitting/Emission"
import type { EmitError } from "@zakops/outbox/Outbox"
import { makeDirectRecorder } from "@zakops/outbox/emitting/directRecorder"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { publishDirectly } from "@zakops/outbox/emitting/publishDirectly"
import { requireOwnTransaction } from "@zakops/outbox/emitting/ownTransaction"
import type { Transaction } from "@zakops/outbox/Transaction"
import { TransactionalPublisher } from "@zakops/outbox/TransactionalPublisher"
import { Routes } from "@zakops/outbox/Routes"
import { Wakeup } from "@zakops/outbox/Wakeup"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import { appendEvents } from "./appendEvents.ts"
import type { Appended, Executed, Loaded, LoadError } from "./commands.ts"
import { commands } from "./commands.ts"
import type { Decider } from "./Decider.ts"
import { channelOf } from "./EventLog.ts"
import { gatherAppends } from "./gatherAppends.ts"
import { isPassing } from "./handlerFailure.ts"
import type { InlineProjection } from "./InlineProjection.ts"
import type { InlineProjectionFailed } from "./InlineProjection.ts"
import { runInline } from "./InlineProjection.ts"
import type { Direction } from "./readStream.ts"
import { readStream } from "./readStream.ts"
import type { RecordedEvent, UnreadableRow } from "./RecordedEvent.ts"
import { requireThisCluster } from "./restoredLog.ts"
import type { RestoredFromDump } from "./restoredLog.ts"
import type { ExpectedVersion, StreamId } from "./StreamId.ts"
import type { TransactionTooOld } from "./StreamId.ts"
import { problemOfExpected, WrongExpectedVersion } from "./StreamId.ts"
import type { AppendOptions } from "./toStreamEntries.ts"
import { toStreamEntries } from "./toStreamEntries.ts"

export type { Appended, AppendOptions, Executed, Loaded, LoadError }

/**
 * After `WrongExpectedVersion`, `TransactionTooOld`, `InvalidEvent` and `InlineProjectionFailed` the transaction is as it was before the
 * append; after `SqlError` it has ended.
 */
export type AppendError = EmitError | WrongExpectedVersion | TransactionTooOld | InlineProjectionFailed

export interface ExecuteOptions extends AppendOptions {
  /** How often the command is decided anew when somebody else has appended in between: 10 times unless given. */
  readonly retries?: number | undefined
}

/**
 * The `Transaction` that `append` requires is the point of it.
 *
 * @effect-expect-leaking Transaction
 */
export class EventStore extends Context.Service<EventStore, {
  /** Appends the events in the open transaction. They are delivered after the commit, never after a roll-back. */
  readonly append: (
    stream: StreamId,
    expected: ExpectedVersion,
    events: ReadonlyArray<Event>,
    options?: AppendOptions
  ) => Effect.Effect<Appended, AppendError, Transaction>
  /**
   * As `append`, in a transaction of its own, which is its one statement; in the open transaction where there is one. What Postgres rolls
   * back in its own transaction (deadlocks, serialization failures) is written again, at most 10 times.
   */
  readonly write: (
    stream: StreamId,
    expected: ExpectedVersion,
    events: ReadonlyArray<Event>,
    options?: AppendOptions
  ) => Effect.Effect<Appended, AppendError>
  /**
   * The stream's events, read as they are asked for, in pages of 500. `from` is the first version read: 1 unless given, or the last one
   * when backward. Sees what the open transaction has appended.
   */
  readonly read: (
    stream: StreamId,
    options?: {
      readonly direction?: Direction | undefined
      readonly from?: number | undefined
      readonly limit?: number | undefined
    }
  ) => Stream.Stream<RecordedEvent, SqlError | UnreadableRow>
  /** Folds the aggregate's events, from its snapshot on if there is one. */
  readonly load: <Command, State, Event extends Happening<string, unknown>, E, R>(
    decider: Decider<Command, State, Event, E, R>,
    aggregateId: string
  ) => Effect.Effect<Loaded<State>, LoadError, R>
  /**
   * Loads the aggregate, decides the command, and appends what it made happen, at the version that was loaded. When somebody else was
   * faster, it decides anew, after a few milliseconds. Runs in a transaction of its own, or in the one that is open; `TransactionTooOld`
   * then ends it, and belongs to `transact`. What the decider refuses with comes through unchanged, and nothing is written.
   */
  readonly execute: <Command, State, Event extends Happening<string, unknown>, E, R>(
    decider: Decider<Command, State, Event, E, R>,
    aggregateId: string,
    command: Command,
    options?: ExecuteOptions
  ) => Effect.Effect<Executed<State, Event>, E | LoadError | AppendError, R>
  /**
   * As `TransactionalPublisher.transact`, and when an append in it finds its transaction too old, or Postgres rolls it back to resolve a
   * deadlock or a serialisation failure, all of `self` runs again in a new transaction: at most 10 times, and only where this is the
   * outermost one.
   */
  readonly transact: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SqlError, Exclude<R, Transaction>>
}>()("@zakops/event-store/EventStore") {
  /**
   * Needs what the outbox needs, and its `Wakeup`, `OutboxConfig` and `TransactionalPublisher`. Fails on a log that was restored from a
   * dump.
   */
  static readonly layer = Layer.suspend(() => layerWith({ inline: [] }))
}

const pageSize = 500

/** Small, as one attempt takes about a millisecond; random, so that those who met do not meet again. */
const shortly = Schedule.jittered(Schedule.min([Schedule.exponential("2 millis"), Schedule.spaced("100 millis")]))

/** As `EventStore.layer`, with projections that are written in the transaction of each append. */
export const layerWith = <R = never>(options: { readonly inline: ReadonlyArray<InlineProjection<R>> }) =>
  Layer.effect(
    EventStore,
    Effect.gen(function*() {
      const db = yield* Database.make
      const { sql } = db
      const config = yield* OutboxConfig
      const publisher = yield* EventPublisher
      const wakeup = yield* Wakeup
      const { transact: transactOnce } = yield* TransactionalPublisher
      const inlineServices = yield* Effect.map(Effect.context<R>(), Context.omit(sql.transactionService))
      yield* requireThisCluster(db)

      const appendToStream = appendEvents(db, config.enabled)
      const readPage = readStream(db)
      // Processors have nothing to do where the outbox is switched off, and look in vain.
      const wake = wakeup.announceWith(channelOf(db.schema))
      const publish = publishDirectly(db, publisher, yield* Routes, yield* makeDirectRecorder(db))

      const toEntries = toStreamEntries(config, `${db.schema}.agent_events`)

      const handleInline = runInline(db, options.inline, inlineServices as Context.Context<R>)
      const project = Effect.fnUntraced(function*(stream: StreamId, version: number, count: number) {
        const events = yield* Effect.catchTag(
          readPage(stream, "forward", version - count + 1, count),
          "UnreadableRow",
          Effect.die
        )
        if (Arr.isReadonlyArrayNonEmpty(events)) yield* handleInline(stream, events)
      })

      /** In the open transaction; without one, the statement is its own. */
      const write = Effect.fnUntraced(
        function*(stream: StreamId, expected: ExpectedVersion, entries: ReadonlyArray<NewEntry>) {
          const version = yield* appendToStream(stream, expected, entries)
          const direct = entries.filter(({ mode }) => mode !== "outbox")
          if (direct.length > 0) yield* publish(direct)
          if (options.inline.length > 0) yield* project(stream, version, entries.length)
          yield* sql.afterCommit(wake)
          return { version, ids: entries.map((entry) => entry.id) }
        }
      )
      // What fails after the statement has to take it back without ending the caller's transaction: that takes a savepoint.
      const isOneStatement = (entries: ReadonlyArray<NewEntry>) =>
        options.inline.length === 0 && entries.every(({ mode }) => mode === "outbox")
      const append = (stream: StreamId, expected: ExpectedVersion, entries: ReadonlyArray<NewEntry>) =>
        isOneStatement(entries)
          ? write(stream, expected, entries)
          : sql.withTransaction(write(stream, expected, entries))

      const inTransaction = Effect.map(Effect.serviceOption(sql.transactionService), Option.isSome)

      /**
       * Again from the beginning, when only a new transaction can do it. Ports without errors of their own (`SubjectKeys`) can tell of a
       * deadlock only by dying of it.
       */
      const inOwnTransaction = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.retry(SqlErrors.lostAsFailure(self), { schedule: shortly, times: 10, while: isPassing })

      const gathered = yield* gatherAppends(db, appendToStream)
      /** Where no transaction of the caller's is open, appends of several callers share one. */
      const appendAnywhere = (stream: StreamId, expected: ExpectedVersion, entries: ReadonlyArray<NewEntry>) =>
        Effect.flatMap(inTransaction, (inner): Effect.Effect<Appended, AppendError> => {
          if (inner) return append(stream, expected, entries)
          if (!isOneStatement(entries)) return inOwnTransaction(append(stream, expected, entries))
          return Effect.map(
            Effect.tap(inOwnTransaction(gathered(stream, expected, entries)), wake),
            (version) => ({ version, ids: entries.map((entry) => entry.id) })
          )
        })

      const transact = <A, E, R>(
        self: Effect.Effect<A, E, R>
      ): Effect.Effect<A, E | SqlError, Exclude<R, Transaction>> =>
        Effect.flatMap(inTransaction, (inner) => inner ? transactOnce(self) : inOwnTransaction(transactOnce(self)))

      const readPages = (stream: StreamId, direction: Direction, from: number, limit: number) =>
        Stream.paginate(
          { from, left: limit },
          Effect.fnUntraced(function*(at) {
            const size = Math.min(pageSize, at.left)
            const page = yield* readPage(stream, direction, at.from, size)
            const last = page.at(-1)?.streamVersion
            const next = last === undefined || last === null || page.length < size || at.left === size
              ? Option.none()
              : Option.some({ from: direction === "forward" ? last + 1 : last - 1, left: at.left - size })
            return [page, next] as const
          })
        )

      const { executeOnce, load } = commands({
        db,
        pageSize,
        toEntries,
        append: appendAnywhere
      })

      return EventStore.of({
        append: Effect.fnUntraced(function*(stream, expected, events, options) {
          yield* requireOwnTransaction(db)
          yield* requireExpectation(expected, events)
          const entries = yield* toEntries(stream, events, options)
          return yield* append(stream, expected, entries)
        }),
        write: Effect.fnUntraced(function*(stream, expected, events, options) {
          yield* requireExpectation(expected, events)
          const entries = yield* toEntries(stream, events, options)
          return yield* appendAnywhere(stream, expected, entries)
        }),
        read: (stream, { direction = "forward", from, limit } = {}) =>
          readPages(
            stream,
            direction,
            from ?? (direction === "forward" ? 1 : Number.MAX_SAFE_INTEGER),
            limit ?? Number.MAX_SAFE_INTEGER
          ),
        load: (decider, aggregateId) =>
          Effect.map(
            load(decider, { aggregateType: decider.aggregateType, aggregateId }),
            ({ state, version }) => ({ state, version })
          ),
        execute: (decider, aggregateId, command, options) =>
          Effect.flatMap(inTransaction, (inner) =>
            executeOnce(decider, { aggregateType: decider.aggregateType, aggregateId }, command, options).pipe(
              Effect.map(({ events, ids, state, version }) => ({ events, ids, state, version })),
              Effect.retry({
                schedule: shortly,
                times: options?.retries ?? 10,
                while: (error) =>
                  isConflict(error) || (!inner && isPassing(error))
              })
            )),
        transact
      })
    })
  )

const isConflict = (error: unknown) => error instanceof WrongExpectedVersion

const requireExpectation = (expected: ExpectedVersion, events: ReadonlyArray<Event>) => {
  const problem = problemOfExpected(expected)
  return problem === undefined
    ? Effect.void
    : new InvalidEvent({ eventType: events[0]?.type ?? "", field: "expected", problem })
}

/** What building the layer can fail with. */
export type StartError = RestoredFromDump | SqlError
