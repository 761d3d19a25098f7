/** A projection's transactions: a page of events, or a parked one, together with the checkpoint. */
import { NewerThanThisBuild } from "@zakops/events/EventDefinition"
import type { Database } from "@zakops/migrations/Database"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Cursor } from "./Cursor.ts"
import { reasonOf } from "./handlerFailure.ts"
import { advance } from "./lease.ts"
import type { DueEvent } from "./parkedEvents.ts"
import { behindText, park, parkAgain, removeParked, splitBehind, stillBehind } from "./parkedEvents.ts"
import type { Projection, ProjectionStopped } from "./Projection.ts"
import { subscriptionOf } from "./Projection.ts"
import { attempt, failureOf, patiently } from "./projectionAttempt.ts"
import type { projectionRecord } from "./projectionRecord.ts"
import type { Page } from "./readLog.ts"
import type { RecordedEvent } from "./RecordedEvent.ts"
import { isNews, sameAggregate, tellParked } from "./Subscription.ts"

/** @param stopped the error that says where it stopped, and why */
export const projectionPage = <E, R>(
  db: Database,
  projection: Projection<E, R>,
  record: ReturnType<typeof projectionRecord>,
  stopped: (cause: Cause.Cause<unknown>, event: RecordedEvent) => ProjectionStopped
) => {
  const { sql } = db
  const subscription = subscriptionOf(projection)
  const moveTo = advance(db)
  const parkIn = park(db, subscription)
  const again = parkAgain(db, subscription)
  const remove = removeParked(db, subscription)
  const behindNow = stillBehind(db, subscription)
  const attemptIt = attempt(db)

  /**
   * The whole page, or nothing of it. The checkpoint comes first: it is the fence, and no one else can write for this projection then,
   * nor take out what it has parked. It has to stand where the page begins: this may be tried again after a COMMIT whose answer was lost.
   */
  const handleAll = (owner: string, at: Cursor, end: Cursor, page: Page) => (run: number) =>
    sql.withTransaction(Effect.gen(function*() {
      yield* moveTo(subscription, owner, end, at)
      const behind = yield* behindNow(page.behind)
      const [free, waiting] = splitBehind(page.events, behind)
      for (const event of waiting) yield* parkIn(event, "behind", behindText)
      if (Arr.isReadonlyArrayNonEmpty(free)) yield* attemptIt(projection.handle(free), run)
    }))

  const handleOne = (event: RecordedEvent, unreadable: Page["unreadable"]): Effect.Effect<unknown, unknown, R> =>
    Effect.suspend((): Effect.Effect<unknown, unknown, R> => {
      const row = unreadable.get(event.envelope.id)
      return row === undefined ? projection.handle([event]) : Effect.fail(row)
    })

  /**
   * One event after another, each in a savepoint: the ones that fail are parked, or the first of them stops the projection after those
   * before it.
   */
  const handleEach = (owner: string, at: Cursor, end: Cursor, page: Page) => (run: number) =>
    sql.withTransaction(Effect.gen(function*() {
      yield* moveTo(subscription, owner, end, at)
      const behind = yield* behindNow(page.behind)
      const parked: Array<RecordedEvent> = []
      let before = at
      for (const event of page.events) {
        if (behind.has(event.envelope.id) || parked.some((one) => sameAggregate(one)(event))) {
          yield* parkIn(event, "behind", behindText)
        } else {
          const cause = yield* failureOf(sql.withTransaction(attemptIt(handleOne(event, page.unreadable), run)))
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

  /** What its event is parked as; undefined where it stops the projection. */
  const parkReason = (cause: Cause.Cause<unknown>) =>
    Cause.squash(cause) instanceof NewerThanThisBuild ? "newer" : projection.onFailure === "park" ? "failed" : undefined

  /** Handles the page and moves the checkpoint to its end. */
  const handlePage = Effect.fnUntraced(function*(owner: string, at: Cursor, end: Cursor, page: Page) {
    if (page.unreadable.size === 0) {
      const failed = yield* failureOf(patiently(handleAll(owner, at, end, page)))
      if (failed === undefined) return
    }
    const error = yield* patiently(handleEach(owner, at, end, page))
    if (error !== undefined) return yield* error
  })

  /**
   * Tries an event that was parked. One that somebody has set aside already (as failed) stays so when it fails again; another one, parked
   * as newer or behind such a one, stops the projection where failures are to.
   */
  const handleParked = Effect.fnUntraced(function*(owner: string, at: Cursor, due: DueEvent) {
    const { event, reason: before, unreadable } = due
    const { id } = event.envelope
    const handled = handleOne(event, new Map(unreadable === undefined ? [] : [[id, unreadable]]))
    const error = yield* patiently((run) =>
      sql.withTransaction(Effect.gen(function*() {
        yield* moveTo(subscription, owner, at)
        const cause = yield* failureOf(sql.withTransaction(
          // None where it was discarded meanwhile.
          Effect.flatMap(remove(id), (removed) => removed === 0 ? Effect.void : attemptIt(handled, run))
        ))
        if (cause === undefined) return undefined
        const reason = parkReason(cause) ?? (before === "failed" ? before : undefined)
        if (reason === undefined) {
          const error = stopped(cause, event)
          yield* record.stoppedAt(error)
          return error
        }
        if (isNews(before, reason)) yield* tellParked(subscription, event, { error: reasonOf(cause) })
        yield* again(id, reason, reasonOf(cause))
        return undefined
      }))
    )
    if (error !== undefined) return yield* error
  })

  return { handlePage, handleParked }
}
