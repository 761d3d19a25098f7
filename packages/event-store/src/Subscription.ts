/**
 * Reads the event log in an order that no later commit can change, and without ever skipping an event that commits late.
 *
 * `make` gives a durable subscription as an `EventSource`: a checkpoint, one active runner across all processes, at least once (the
 * checkpoint moves after a batch was handled). `stream` follows the log without leaving a trace in it.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventSource } from "@zakops/events/EventSource"
import type { SourceFailed } from "@zakops/events/EventSource"
import { SetAside } from "@zakops/events/EventSource"
import { aloud, quietly } from "@zakops/events/Tracing"
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import type { Cursor } from "./Cursor.ts"
import { follow } from "./followLog.ts"
import { advance, whileOwner } from "./lease.ts"
import type { ParkReason } from "./parkedEvents.ts"
import {
  behindText,
  dueParked,
  lookAgainAtNewer,
  park,
  parkAgain,
  removeParked,
  splitBehind,
  stillBehind
} from "./parkedEvents.ts"
import type { LogFilter, Page } from "./readLog.ts"
import { readLog } from "./readLog.ts"
import type { RecordedEvent } from "./RecordedEvent.ts"
import { requireThisCluster } from "./restoredLog.ts"
import type { StartFrom } from "./startReading.ts"
import { cursorOf, outlastReading } from "./startReading.ts"
import { measureLag } from "./SubscriptionLag.ts"

export type { StartFrom }

export interface Options {
  /** Where to begin; for a subscription that has a checkpoint, that comes first. `"start"` unless given. */
  readonly from?: StartFrom | undefined
  /** Only these events; the others are passed over in the database. */
  readonly filter?: LogFilter | undefined
  /** How many events at a time, 100 unless given. */
  readonly batchSize?: number | undefined
  /** Between looks when no wake-up comes: 1 s unless given. */
  readonly pollInterval?: Duration.Input | undefined
}

export interface DurableOptions extends Options {
  /** For how long a runner that is gone keeps the others waiting: 5 s unless given. Renewed at a third of it. */
  readonly lease?: Duration.Input | undefined
}

export const defaults = (options: DurableOptions = {}) => {
  const { batchSize = 100 } = options
  // With none at a time it would look for ever and never find anything.
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new TypeError(`batchSize is ${batchSize}, and a batch has a whole number of events from 1 up`)
  }
  return withDefaults(options, batchSize)
}

const withDefaults = (options: DurableOptions, batchSize: number) => ({
  batchSize,
  from: options.from ?? "start",
  filter: options.filter ?? {},
  pollInterval: Duration.fromInputUnsafe(options.pollInterval ?? "1 second"),
  lease: Duration.fromInputUnsafe(options.lease ?? "5 seconds")
})

/** Runs `self` when it is due for the first time, and then at most once a second. */
export const onceASecond = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  let last = -Infinity
  return Effect.flatMap(Clock.currentTimeMillis, (millis) => {
    if (millis - last < 1000) return Effect.void
    last = millis
    return Effect.asVoid(self)
  })
}

/**
 * The durable subscription `name` (at most 100 characters). Any number of processes may run it: one does, the others stand by, and take
 * over within the lease and a poll when it dies, or at once when it stops. While it runs it sets the metrics
 * `zakops.subscription.lag.events` and `zakops.subscription.lag`.
 *
 * An event that the handler sets aside is parked, with those of its aggregate behind it, and so is one whose row cannot be read. One that
 * was newer than the build is tried again when a runner starts, and every minute.
 */
export const make = Effect.fnUntraced(function*(name: string, options?: DurableOptions): Effect.fn.Return<
  EventSource,
  InvalidSchemaName,
  PgClient | SqlClient
> {
  const db = yield* Database.make
  const client = yield* PgClient
  const { batchSize, filter, from, lease, pollInterval } = defaults(options)
  const read = readLog(db, filter, name)
  const moveTo = advance(db)
  const parkIn = park(db, name)
  const again = parkAgain(db, name)
  const remove = removeParked(db, name)
  const outlast = outlastReading(`subscription ${name}`, name)

  const consume = <E, R>(
    handle: (batch: Arr.NonEmptyReadonlyArray<EventEnvelope>) => Effect.Effect<void, E | SetAside, R>
  ) => {
    /** Hands the event out; gives what it was set aside with, if it was. */
    const tryHandle = (batch: Arr.NonEmptyReadonlyArray<RecordedEvent>): Effect.Effect<Option.Option<SetAside>, E, R> =>
      Effect.catch(
        Effect.as(aloud(handle(Arr.map(batch, ({ envelope }) => envelope))), Option.none<SetAside>()),
        (error) => error instanceof SetAside ? Effect.succeedSome(error) : Effect.fail(error as E)
      )

    /** In a transaction that only the holder of the lease can make, and that keeps operators out until it ends. */
    const fenced = <A>(owner: string, at: Cursor, self: Effect.Effect<A, SqlError>) =>
      outlast(db.sql.withTransaction(Effect.andThen(moveTo(name, owner, at), self)))

    /** Parks those that wait behind a parked one, and gives the others. */
    const parkBehind = Effect.fnUntraced(function*(page: Page) {
      const behind = yield* stillBehind(db, name)(page.behind)
      const [free, waiting] = splitBehind(page.events, behind)
      for (const event of waiting) yield* parkIn(event, "behind", behindText)
      return free
    })

    const handOut = Effect.fnUntraced(function*(
      owner: string,
      at: Cursor,
      events: ReadonlyArray<RecordedEvent>,
      unreadable: Page["unreadable"]
    ) {
      let rest = events
      while (rest.length > 0) {
        const next = rest.findIndex(({ envelope }) => unreadable.has(envelope.id))
        const readable = next < 0 ? rest : rest.slice(0, next)
        const handled = Arr.isReadonlyArrayNonEmpty(readable) ? yield* tryHandle(readable) : Option.none<SetAside>()
        const aside = Option.orElse(
          handled,
          () => Option.map(Option.fromUndefinedOr(rest[next]), unreadableAside(unreadable))
        )
        if (Option.isNone(aside)) return
        const index = rest.findIndex(({ envelope }) => envelope.id === aside.value.eventId)
        const event = rest[index]
        if (event === undefined) {
          return yield* Effect.die(
            new Error(`subscription ${name}: the handler set aside ${aside.value.eventId}, which was not in its batch`)
          )
        }
        const after = rest.slice(index + 1)
        const followers = after.filter(sameAggregate(event))
        yield* tellParked(name, event, aside.value)
        yield* fenced(
          owner,
          at,
          Effect.andThen(
            parkIn(event, aside.value.reason, aside.value.error),
            Effect.forEach(followers, (follower) => parkIn(follower, "behind", behindText), { discard: true })
          )
        )
        rest = after.filter((other) => !sameAggregate(event)(other))
      }
    })

    const tryParked = (owner: string, at: () => Cursor) =>
      Effect.gen(function*() {
        while (true) {
          const due = yield* outlast(dueParked(db, name))
          if (due.length === 0) return
          for (const { event, reason: before, unreadable } of due) {
            const { id } = event.envelope
            const aside = unreadable === undefined
              ? yield* tryHandle([event])
              : Option.some(new SetAside({ eventId: id, reason: "failed", error: unreadable.message }))
            if (Option.isSome(aside)) {
              const { error, reason } = aside.value
              if (isNews(before, reason)) yield* tellParked(name, event, { error })
              yield* fenced(owner, at(), again(id, reason, error))
            } else yield* fenced(owner, at(), remove(id))
          }
        }
      })

    return quietly(
      outlast(requireThisCluster(db)).pipe(
        Effect.andThen(
          whileOwner(db, name, {
            lease,
            pollInterval,
            first: cursorOf(db, from, name),
            outlast: (self) => outlast(self)
          })((
            { cursor, owner }
          ) =>
            Effect.scoped(Effect.gen(function*() {
              let at = cursor
              let emptyLooks = 0
              const waitAfter = yield* Effect.provideService(follow(db, pollInterval), PgClient, client)
              yield* Effect.forkScoped(measureLag(db, name, () => at))
              yield* outlast(lookAgainAtNewer(db, name))
              const housekeeping = onceASecond(tryParked(owner, () => at))
              while (true) {
                yield* housekeeping
                const page = yield* outlast(read(at, batchSize))
                if (page.end === undefined) {
                  yield* outlast(waitAfter(at, emptyLooks++))
                  continue
                }
                emptyLooks = 0
                const free = page.behind.size === 0 ? page.events : yield* fenced(owner, at, parkBehind(page))
                yield* handOut(owner, at, free, page.unreadable)
                yield* outlast(moveTo(name, owner, page.end))
                at = page.end
              }
            }))
          )
        )
      )
    )
  }

  return { name, consume } as EventSource
})

export const sameAggregate = (one: RecordedEvent) => (other: RecordedEvent) =>
  one.envelope.aggregateType !== null && one.envelope.aggregateId !== null &&
  one.envelope.aggregateType === other.envelope.aggregateType && one.envelope.aggregateId === other.envelope.aggregateId

export const tellParked = (
  subscription: string,
  { cursor, envelope }: RecordedEvent,
  why: { readonly error: string }
) =>
  Effect.logWarning(
    `${subscription}: event ${envelope.id} (${envelope.eventType}, position ${cursor.position}) is parked: ${why.error}`
  )

const unreadableAside = (unreadable: Page["unreadable"]) => ({ envelope }: RecordedEvent) =>
  new SetAside({ eventId: envelope.id, reason: "failed", error: unreadable.get(envelope.id)?.message ?? "" })

/** Whether a failed attempt at an event that is parked tells anything new: a build that is too old is so at every look. */
export const isNews = (before: ParkReason, now: ParkReason): boolean => before !== "newer" || now !== "newer"

/**
 * The events of the log from `from` on, and those to come, read as they are asked for: a slow consumer slows the reading down. Keeps no
 * checkpoint; to go on later, keep the `cursor` of the last event. Fails with `SourceFailed` where the log cannot be read.
 */
export const stream = (
  options?: Options
): Stream.Stream<RecordedEvent, SourceFailed | InvalidSchemaName, PgClient | SqlClient> =>
  Stream.unwrap(Effect.gen(function*() {
    const db = yield* Database.make
    const { batchSize, filter, from, pollInterval } = defaults(options)
    const read = readLog(db, filter)
    const outlast = outlastReading("reading the event log", "the event log")
    yield* outlast(requireThisCluster(db))
    const waitAfter = yield* follow(db, pollInterval)
    return Stream.paginate(
      { at: yield* outlast(cursorOf(db, from)), emptyLooks: 0 },
      Effect.fnUntraced(function*({ at, emptyLooks }) {
        const page = yield* outlast(read(at, batchSize))
        const [unreadable] = page.unreadable.values()
        if (unreadable !== undefined) return yield* outlast(Effect.fail(unreadable))
        if (page.end !== undefined) return [page.events, Option.some({ at: page.end, emptyLooks: 0 })] as const
        yield* outlast(waitAfter(at, emptyLooks))
        return [[], Option.some({ at, emptyLooks: emptyLooks + 1 })] as const
      })
    )
  }))
