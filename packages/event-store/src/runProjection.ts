/** Runs a projection: one process at a time, a batch and its checkpoint in one transaction. */
import { PgClient } from "@effect/sql-pg/PgClient"
import type { SourceFailed } from "@zakops/events/EventSource"
import { withOperation } from "@zakops/events/MessageOperation"
import { quietly } from "@zakops/events/Tracing"
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Cursor } from "./Cursor.ts"
import { start } from "./Cursor.ts"
import { follow } from "./followLog.ts"
import { reasonOf } from "./handlerFailure.ts"
import type { LeaseLost } from "./lease.ts"
import { advance, whileOwner } from "./lease.ts"
import { dueParked, lookAgainAtNewer } from "./parkedEvents.ts"
import type { Projection } from "./Projection.ts"
import { ProjectionStopped, subscriptionOf } from "./Projection.ts"
import { attempt, Failed, patiently } from "./projectionAttempt.ts"
import type { Status } from "./projectionRecord.ts"
import { projectionPage } from "./projectionPage.ts"
import { projectionRecord } from "./projectionRecord.ts"
import type { Page } from "./readLog.ts"
import { readLog } from "./readLog.ts"
import type { RecordedEvent } from "./RecordedEvent.ts"
import { requireThisCluster } from "./restoredLog.ts"
import { cursorOf, outlastReading } from "./startReading.ts"
import type { DurableOptions } from "./Subscription.ts"
import { defaults, onceASecond } from "./Subscription.ts"
import { measureLag } from "./SubscriptionLag.ts"

/**
 * Runs until interrupted. Any number of processes may run the same projection: one does, the others stand by. Fails with
 * `ProjectionStopped`, which says where; while the database is in trouble it waits and goes on.
 *
 * A version that another one has replaced does nothing any more, until `requestSwitch` calls it back.
 */
export const run = Effect.fnUntraced(function*<E, R>(
  projection: Projection<E, R>,
  options?: Omit<DurableOptions, "filter">
): Effect.fn.Return<never, ProjectionStopped | SourceFailed | InvalidSchemaName, R | PgClient | SqlClient> {
  const db = yield* Database.make
  const client = yield* PgClient
  const { sql } = db
  const subscription = subscriptionOf(projection)
  const { batchSize, from, lease, pollInterval } = defaults(options)
  const read = readLog(db, projection.filter, subscription)
  const moveTo = advance(db)
  const attemptIt = attempt(db)
  const record = projectionRecord(db, projection)
  const outlast = outlastReading(subscription, subscription)

  const stopped = (cause: Cause.Cause<unknown>, event?: RecordedEvent) =>
    new ProjectionStopped({
      projection: projection.name,
      version: projection.version,
      position: event?.cursor.position ?? null,
      eventId: event?.envelope.id ?? null,
      reason: reasonOf(cause),
      cause: Cause.squash(cause)
    })

  const { handlePage, handleParked } = projectionPage(db, projection, record, stopped)

  const tryParked = (owner: string, at: () => Cursor) =>
    Effect.gen(function*() {
      while (true) {
        const due = yield* outlast(dueParked(db, subscription))
        if (due.length === 0) return
        for (const one of due) yield* outlast(handleParked(owner, at(), one))
      }
    })

  /** Empties the read model and goes back to the start, because somebody asked for it. */
  const reset = (owner: string, empty: Effect.Effect<unknown, E, R>) =>
    patiently((run) =>
      sql.withTransaction(Effect.gen(function*() {
        yield* moveTo(subscription, owner, start)
        yield* attemptIt(empty, run)
        yield* record.wasReset(subscription)
      }))
    )

  const goLive = (owner: string, at: Cursor) =>
    patiently((run) =>
      sql.withTransaction(Effect.gen(function*() {
        yield* moveTo(subscription, owner, at)
        const status = yield* record.becomeLive
        if (status === "live") yield* attemptIt(projection.onLive ?? Effect.void, run)
        return status
      }))
    )

  /** For what concerns no single event. */
  const orStop = <A, E2, R2>(
    self: Effect.Effect<A, E2 | Failed, R2>
  ): Effect.Effect<A, Exclude<E2, Failed> | ProjectionStopped | SourceFailed, R2> =>
    Effect.catch(self, (error): Effect.Effect<never, Exclude<E2, Failed> | ProjectionStopped | SourceFailed> => {
      if (!(error instanceof Failed)) return Effect.fail(error as Exclude<E2, Failed>)
      const stop = stopped(error.cause)
      return Effect.andThen(outlast(record.stoppedAt(stop)), stop)
    })

  const processing = { name: "process", destination: db.schema + ".agent_events", group: subscription } as const
  const handle = (owner: string, at: Cursor, page: Page, end: Cursor) => {
    const handled = handlePage(owner, at, end, page)
    const envelopes = page.events.map(({ envelope }) => envelope)
    return Arr.isReadonlyArrayNonEmpty(envelopes) ? withOperation(processing, envelopes, handled) : handled
  }

  yield* outlast(requireThisCluster(db))
  return yield* quietly(
    whileOwner(db, subscription, {
      lease,
      pollInterval,
      first: cursorOf(db, from, subscription),
      outlast: (self) => outlast(self)
    })(({ cursor, owner }) =>
      Effect.scoped(Effect.gen(function*() {
        let at = cursor
        let emptyLooks = 0
        let status: Status = "building"
        const waitAfter = yield* Effect.provideService(follow(db, pollInterval), PgClient, client)
        yield* Effect.forkScoped(measureLag(db, subscription, () => status === "retired" ? undefined : at))
        yield* outlast(record.register)
        yield* outlast(lookAgainAtNewer(db, subscription))
        const housekeeping = onceASecond(Effect.gen(function*() {
          const control = yield* outlast(record.control)
          status = control.status
          if (control.resetRequested && projection.reset === undefined) {
            // Asked of a build that had one. To read the log anew into tables that still hold it would count it twice.
            yield* Effect.logWarning(
              `${subscription}: the rebuild that was asked for is left undone: this build has no reset`
            )
            yield* outlast(record.withdrawReset)
          } else if (control.resetRequested && projection.reset !== undefined) {
            // A reset that fails is not tried again by itself: whoever starts the projection again has it go on with what it has.
            yield* orStop(Effect.tapError(
              outlast(reset(owner, projection.reset)),
              (error) => error instanceof Failed ? outlast(record.withdrawReset) : Effect.void
            ))
            at = start
            if (status !== "retired") status = "building"
          }
          if (status !== "retired") yield* tryParked(owner, () => at)
        }))
        while (true) {
          yield* housekeeping
          // Read again: housekeeping may have changed it.
          if ((status as Status) === "retired") {
            yield* Effect.sleep(pollInterval)
            continue
          }
          const page = yield* outlast(read(at, batchSize))
          if (page.end !== undefined) {
            emptyLooks = 0
            yield* outlast(handle(owner, at, page, page.end))
            at = page.end
          }
          if (status === "building" && !page.full) status = yield* orStop(outlast(goLive(owner, at)))
          if (page.end === undefined) yield* outlast(waitAfter(at, emptyLooks++))
        }
      })) as Effect.Effect<never, ProjectionStopped | SourceFailed | LeaseLost, R>
    )
  )
})
