/** Runs a projection: one process at a time, a batch and its checkpoint in one transaction. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { NewerThanThisBuild } from "@zakops/events/EventDefinition"
import type { SourceFailed } from "@zakops/events/EventSource"
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { errorText } from "@zakops/outbox/errorText"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import type { Cursor } from "./Cursor.ts"
import { start } from "./Cursor.ts"
import { follow } from "./followLog.ts"
import type { LeaseLost } from "./lease.ts"
import { advance, whileOwner } from "./lease.ts"
import { behindText, dueParked, lookAgainAtNewer, park, removeParked } from "./parkedEvents.ts"
import type { Projection } from "./Projection.ts"
import { ProjectionStopped, subscriptionOf } from "./Projection.ts"
import type { Status } from "./ProjectionCatalog.ts"
import type { Page } from "./readLog.ts"
import { readLog } from "./readLog.ts"
import type { RecordedEvent } from "./RecordedEvent.ts"
import { requireThisCluster } from "./restoredLog.ts"
import type { DurableOptions } from "./Subscription.ts"
import { cursorOf, defaults, onceASecond, outlastReading, sameAggregate, tellParked } from "./Subscription.ts"
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
  const parkIn = park(db, subscription)
  const remove = removeParked(db, subscription)
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

  /**
   * Runs the program's part of a transaction. What is the database's trouble fails as such, to be tried again; what else goes wrong is
   * given as a cause.
   */
  const attempt = <A>(self: Effect.Effect<unknown, E, R>, done: A): Effect.Effect<A, SqlError | Failed, R> =>
    Effect.catchCause(Effect.as(self, done), (cause): Effect.Effect<never, SqlError | Failed> => {
      if (Cause.hasInterrupts(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      const error = Cause.squash(cause)
      return SqlErrors.isTrouble(error) ? Effect.fail(error) : Effect.fail(new Failed(cause))
    })

  /**
   * The whole page, or nothing of it. The checkpoint comes first: it is the fence, and no one else can write for this projection then.
   * It has to stand where the page begins: this may be tried again after a COMMIT whose answer was lost.
   */
  const handleAll = (owner: string, at: Cursor, end: Cursor, page: Page) =>
    sql.withTransaction(Effect.gen(function*() {
      yield* moveTo(subscription, owner, end, at)
      const free = page.events.filter(({ envelope }) => !page.behind.has(envelope.id))
      for (const event of page.events) {
        if (page.behind.has(event.envelope.id)) yield* parkIn(event, "behind", behindText)
      }
      if (Arr.isReadonlyArrayNonEmpty(free)) yield* attempt(projection.handle(free), undefined)
    }))

  /**
   * One event after another, each in a savepoint: the ones that fail are parked, or the first of them stops the projection after those
   * before it.
   */
  const handleEach = (owner: string, at: Cursor, end: Cursor, page: Page) =>
    sql.withTransaction(Effect.gen(function*() {
      yield* moveTo(subscription, owner, end, at)
      const parked: Array<RecordedEvent> = []
      let before = at
      for (const event of page.events) {
        if (page.behind.has(event.envelope.id) || parked.some((one) => sameAggregate(one)(event))) {
          yield* parkIn(event, "behind", behindText)
        } else {
          const cause = yield* failureOf(sql.withTransaction(attempt(projection.handle([event]), undefined)))
          if (cause !== undefined) {
            const reason = parkReason(cause)
            if (reason === undefined) {
              const error = stopped(cause, event)
              yield* moveTo(subscription, owner, before)
              yield* record.stoppedAt(error)
              return error
            }
            yield* tellParked(subscription, event, { error: reasonOf(cause) })
            yield* parkIn(event, reason, reasonOf(cause))
            parked.push(event)
          }
        }
        before = event.cursor
      }
      return undefined
    }))

  const parkReason = (cause: Cause.Cause<unknown>) =>
    Cause.squash(cause) instanceof NewerThanThisBuild ? "newer" : projection.onFailure === "park" ? "failed" : undefined

  const handlePage = Effect.fnUntraced(function*(owner: string, at: Cursor, end: Cursor, page: Page) {
    const failed = yield* failureOf(handleAll(owner, at, end, page))
    if (failed === undefined) return
    const error = yield* handleEach(owner, at, end, page)
    if (error !== undefined) return yield* error
  })

  const tryParked = (owner: string, at: () => Cursor) =>
    Effect.gen(function*() {
      while (true) {
        const due = yield* outlast(dueParked(db, subscription))
        if (due.length === 0) return
        for (const event of due) {
          yield* outlast(sql.withTransaction(Effect.gen(function*() {
            yield* moveTo(subscription, owner, at())
            const cause = yield* failureOf(sql.withTransaction(Effect.flatMap(
              remove(event.envelope.id),
              // None where it was handled in a transaction that seemed to fail.
              (removed) => removed === 0 ? Effect.void : attempt(projection.handle([event]), undefined)
            )))
            if (cause !== undefined) yield* parkIn(event, parkReason(cause) ?? "failed", reasonOf(cause))
          })))
        }
      }
    })

  /** Empties the read model and goes back to the start, because somebody asked for it. */
  const reset = (owner: string) =>
    sql.withTransaction(Effect.gen(function*() {
      yield* moveTo(subscription, owner, start)
      yield* attempt(projection.reset ?? Effect.void, undefined)
      yield* record.wasReset(subscription)
    }))

  const goLive = (owner: string, at: Cursor) =>
    sql.withTransaction(Effect.gen(function*() {
      yield* moveTo(subscription, owner, at)
      const status = yield* record.becomeLive
      if (status === "live") yield* attempt(projection.onLive ?? Effect.void, undefined)
      return status
    }))

  /** For what concerns no single event. */
  const orStop = <A, E2, R2>(
    self: Effect.Effect<A, E2 | Failed, R2>
  ): Effect.Effect<A, Exclude<E2, Failed> | ProjectionStopped | SourceFailed, R2> =>
    Effect.catch(self, (error): Effect.Effect<never, Exclude<E2, Failed> | ProjectionStopped | SourceFailed> => {
      if (!(error instanceof Failed)) return Effect.fail(error as Exclude<E2, Failed>)
      const stop = stopped(error.cause)
      return Effect.andThen(outlast(record.stoppedAt(stop)), stop)
    })

  yield* outlast(requireThisCluster(db))
  return yield* whileOwner(db, subscription, {
    lease,
    pollInterval,
    first: cursorOf(db, from),
    outlast: (self) => outlast(self)
  })(({ cursor, owner }) =>
    Effect.scoped(Effect.gen(function*() {
      let at = cursor
      let emptyLooks = 0
      const waitAfter = yield* Effect.provideService(follow(db, pollInterval), PgClient, client)
      yield* Effect.forkScoped(measureLag(db, subscription, () => at))
      yield* outlast(record.register)
      yield* outlast(lookAgainAtNewer(db, subscription))
      let status: Status = "building"
      const housekeeping = onceASecond(Effect.gen(function*() {
        const control = yield* outlast(record.control)
        status = control.status
        if (control.resetRequested) {
          yield* orStop(outlast(reset(owner)))
          at = start
          status = "building"
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
          yield* outlast(handlePage(owner, at, page.end, page))
          at = page.end
        }
        if (status === "building" && !page.full) status = yield* orStop(outlast(goLive(owner, at)))
        if (page.end === undefined) yield* outlast(waitAfter(at, emptyLooks++))
      }
    })) as Effect.Effect<never, ProjectionStopped | SourceFailed | LeaseLost, R>
  )
})

/** The program's own failure, on its way out of a transaction that it rolls back. */
class Failed {
  readonly cause: Cause.Cause<unknown>
  constructor(cause: Cause.Cause<unknown>) {
    this.cause = cause
  }
}

const failureOf = <A, E, R>(
  self: Effect.Effect<A, E | Failed, R>
): Effect.Effect<Cause.Cause<unknown> | undefined, Exclude<E, Failed>, R> =>
  Effect.catch(
    Effect.as(self, undefined),
    (error) => error instanceof Failed ? Effect.succeed(error.cause) : Effect.fail(error as Exclude<E, Failed>)
  )

const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return isSqlError(error) ? SqlErrors.serverText(error) : error instanceof Error ? error.message : String(error)
}

/** The projection's own row of zakops.projections. */
const projectionRecord = (
  { now, sql, table }: Database.Database,
  { name, reset, version }: Projection<unknown, unknown>
) => {
  const mine = sql`name = ${name} AND version = ${version}`
  return {
    /** A version older than the live one is not taken for news. */
    register: Effect.gen(function*() {
      const time = yield* now
      yield* sql`
        INSERT INTO ${table.projections} (name, version, status, can_reset, created_at)
        SELECT ${name}, ${version}::int, CASE WHEN EXISTS (
          SELECT 1 FROM ${table.projections} WHERE name = ${name} AND version > ${version} AND status = 'live'
        ) THEN 'retired' ELSE 'building' END, ${reset !== undefined}, ${time}
        ON CONFLICT (name, version) DO UPDATE SET can_reset = excluded.can_reset, error = NULL, error_position = NULL, error_event_id = NULL`
    }),
    control: Effect.map(
      sql<{ status: Status; resetRequested: boolean }>`
        SELECT status, reset_requested AS "resetRequested" FROM ${table.projections} WHERE ${mine}`,
      ([row]) => row ?? { status: "building" as const, resetRequested: false }
    ),
    wasReset: (subscription: string) =>
      Effect.andThen(
        sql`UPDATE ${table.projections} SET reset_requested = false, status = 'building' WHERE ${mine}`,
        sql`DELETE FROM ${table.parkedEvents} WHERE subscription = ${subscription}`
      ),
    stoppedAt: (error: ProjectionStopped) =>
      sql`UPDATE ${table.projections} SET error = ${errorText(error.message)}, error_position = ${error.position},
        error_event_id = ${error.eventId}::uuid WHERE ${mine}`,
    /** Live, unless a higher version is and nobody has called this one back. One at a time of each name. */
    becomeLive: Effect.gen(function*() {
      const time = yield* now
      const versions = yield* sql<{ version: number; status: Status; called: boolean }>`
        SELECT version, status, switch_requested AS called FROM ${table.projections} WHERE name = ${name} ORDER BY version FOR UPDATE`
      const called = versions.some((one) => one.version === version && one.called)
      const replaced = !called && versions.some((one) => one.version > version && one.status === "live")
      const status: Status = replaced ? "retired" : "live"
      yield* sql`UPDATE ${table.projections} SET status = ${status}, switch_requested = false,
        live_at = CASE WHEN ${status} = 'live' THEN ${time} ELSE live_at END WHERE ${mine}`
      if (status === "live") {
        yield* sql`UPDATE ${table.projections} SET status = 'retired' WHERE name = ${name} AND version <> ${version} AND status = 'live'`
      }
      return status
    })
  }
}
