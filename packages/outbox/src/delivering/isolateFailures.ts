/**
 * A selection whose delivery has failed, once more: in one transaction that leaves out the entries at fault, and settles them as failed.
 *
 * Whose fault it is is searched for by halves, each try in a savepoint. Behind an entry that fails, none of its key is delivered.
 */
import type { Transactional } from "@zakops/events/EventPublisher"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import type { Delivered, RoutedRow } from "./deliverSelection.ts"
import { deliverAndCopy, routedColumns } from "./deliverSelection.ts"
import { Command, decide } from "../EntryLifecycle.ts"
import { errorText } from "./errorText.ts"
import { letForward } from "../claiming/orderingKeys.ts"
import { asProcessing, toWaits } from "../claiming/OutboxEntry.ts"
import * as ProcessorCounts from "./ProcessorCounts.ts"
import { waitFor } from "../RetryPolicy.ts"
import type { Routing } from "../routing/Routing.ts"
import { routeByPredicate } from "../routing/routedEntries.ts"
import type { Selection } from "../claiming/Selection.ts"
import { settleFailedInPlace } from "./settleFailedInPlace.ts"
import { oneMoreAttempt, retryWaits, toNumbers } from "../claiming/storedValues.ts"
import type { WatchedRow } from "./watchBatch.ts"
import { watchBatch } from "./watchBatch.ts"

/** An entry that this transaction has locked. `attempts` counts the one that is about to be made. */
interface Locked {
  readonly id: string
  readonly attempts: number
  readonly maxAttempts: number
  readonly retryWaits: ReadonlyArray<number> | null
  readonly orderingKey: string | null
  readonly correlationId: string
  readonly eventType: string
  readonly traceparent: string | null
}

interface Failure {
  readonly entry: Locked
  readonly error: SqlError
}

export const isolateFailures = (
  db: Database,
  publisher: Transactional,
  routing: Routing | undefined,
  policy: RetrySchedule
) => {
  const { now, sql, table } = db
  const { destination } = publisher
  const forward = letForward(db)
  const askPredicates = routing === undefined ? undefined : routeByPredicate(db, routing)
  const settleFailed = settleFailedInPlace(db, destination)
  const watchFrom = watchBatch(db, publisher)

  const lock = Effect.fnUntraced(function*({ ctes }: Selection) {
    const rows = yield* sql<
      Omit<Locked, "retryWaits"> & { readonly retryWaits: string | null; readonly met: number; readonly moved: number }
    >`
      WITH ${ctes}
      SELECT (SELECT count(*)::int FROM due) AS met, (SELECT count(*)::int FROM moved) AS moved, o.id,
        ${sql.literal(oneMoreAttempt)} AS attempts, coalesce(o.max_attempts, 5) AS "maxAttempts", ${
      sql.literal(retryWaits)
    } AS "retryWaits",
        o.ordering_key AS "orderingKey", o.correlation_id AS "correlationId", coalesce(o.event_type, '') AS "eventType",
        o.headers->>'traceparent' AS traceparent
      FROM (VALUES (1)) AS one LEFT JOIN ${table.outbox} o ON o.ctid = ANY (ARRAY(SELECT ctid FROM taken)) ORDER BY o.seq`
    const entries = rows.flatMap((row): ReadonlyArray<Locked> =>
      row.id === null ? [] : [{ ...row, retryWaits: toWaits(toNumbers(row.retryWaits)) }]
    )
    return { entries, met: rows[0]?.met ?? 0, moved: rows[0]?.moved ?? 0 }
  })

  /** Gives how many entries were made for routes. */
  const deliver = Effect.fnUntraced(function*(entries: ReadonlyArray<Locked>) {
    const ids = entries.map((entry) => entry.id)
    const time = yield* now
    const watch = yield* watchFrom(time)
    const [row] = yield* sql<WatchedRow & RoutedRow>`
      WITH ${deliverAndCopy(db, publisher, routing, sql`o.id = ANY (${ids}::uuid[])`, time)}
      SELECT ${routedColumns(db, routing)}${watch.columns} FROM entries`
    yield* watch.delivered(entries.length, row ?? {})
    return (row?.routed ?? 0) + (askPredicates === undefined ? 0 : yield* askPredicates(row?.asked ?? []))
  })

  /**
   * Delivers all of `entries` but those that fail on their own, which it adds to `failures`, and those behind one of these, which it
   * leaves. From the first on, so that what is in front of an entry was delivered before.
   */
  const deliverByHalves = (
    entries: ReadonlyArray<Locked>,
    failures: Array<Failure>
  ): Effect.Effect<{ readonly delivered: number; readonly routed: number }, SqlError> =>
    Effect.gen(function*() {
      const stopped = new Set(failures.map(({ entry }) => entry.orderingKey))
      const free = entries.filter(({ orderingKey }) => orderingKey === null || !stopped.has(orderingKey))
      const [first] = free
      if (first === undefined) return { delivered: 0, routed: 0 }
      const tried = yield* Effect.result(sql.withTransaction(deliver(free)))
      if (Result.isSuccess(tried)) return { delivered: free.length, routed: tried.success }
      if (SqlErrors.isDatabaseTrouble(tried.failure)) return yield* tried.failure
      if (free.length === 1) {
        yield* (yield* watchFrom(yield* now)).failed(first, tried.failure)
        failures.push({ entry: first, error: tried.failure })
        return { delivered: 0, routed: 0 }
      }
      const half = Math.ceil(free.length / 2)
      const one = yield* deliverByHalves(free.slice(0, half), failures)
      const other = yield* deliverByHalves(free.slice(half), failures)
      return { delivered: one.delivered + other.delivered, routed: one.routed + other.routed }
    })

  const settle = Effect.fnUntraced(function*({ entry, error }: Failure) {
    const words = errorText(`${destination}: ${SqlErrors.serverText(error)}`)
    const claimId = ""
    const wait = yield* waitFor(policy, entry)
    const fact = Result.getOrThrow(
      decide(asProcessing({ ...entry, claimId }), Command.Fail({ claimId, error: words, permanent: false, wait }))
    )
    if (fact._tag === "RetryScheduled") {
      yield* settleFailed(entry.id, { status: "pending", wait: fact.wait, error: words })
      return { ...ProcessorCounts.none, retried: 1 }
    }
    yield* settleFailed(entry.id, { status: "dead", error: words })
    yield* Effect.logError(`outbox entry ${entry.id} is dead: ${words}`)
    return { ...ProcessorCounts.none, dead: 1 }
  })

  return (selection: Selection): Effect.Effect<Delivered, SqlError> =>
    sql.withTransaction(Effect.gen(function*() {
      // What is deferred would fail at COMMIT, where no savepoint helps any more.
      yield* sql`SET CONSTRAINTS ALL IMMEDIATE`
      const { entries, met, moved } = yield* lock(selection)
      const failures: Array<Failure> = []
      const { delivered, routed } = yield* deliverByHalves(entries, failures)
      const [first] = failures
      if (first !== undefined && failures.length === entries.length && SqlErrors.isSetUpFault(first.error)) {
        // A missing table or privilege meets all alike: that is the destination's fault, and charged to none of them.
        return yield* first.error
      }
      let counts: ProcessorCounts.ProcessorCounts = { ...ProcessorCounts.none, delivered }
      for (const failure of failures) counts = ProcessorCounts.add(counts, yield* settle(failure))
      yield* forward(entries.flatMap(({ orderingKey }) => orderingKey === null ? [] : [{ key: orderingKey }]))
      return { met, moved, mark: undefined, routed, counts }
    }))
}
