/** Deletes what is old when somebody asks for it, once, beside what the retention settings delete by themselves. */
import * as Database from "@zakops/migrations/Database"
import { InvalidRequest } from "@zakops/outbox"
import { checkBy } from "@zakops/outbox/deadLetters/DeadFilter"
import { deleteAttempts } from "@zakops/outbox/retention/deleteAttempts"
import { dateFinished, deleteDead, deleteDiscarded } from "@zakops/outbox/retention/deleteDead"
import { deleteDelivered } from "@zakops/outbox/retention/deleteDelivered"
import type { Batch } from "@zakops/outbox/retention/inBatches"
import { batchSize, pause } from "@zakops/outbox/retention/inBatches"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { PurgeKind } from "./api/maintenance.ts"
import type { Count } from "./api/values.ts"
import { byIndex, toCount } from "./reading/counting.ts"

/** What to delete: of this kind, and at least this old by the database's clock. */
export interface PurgeRequest {
  readonly kind: PurgeKind
  readonly olderThan: Duration.Input
}

export class Purge extends Context.Service<Purge, {
  /** How many it would delete, counted up to 100,000. Deletes nothing. */
  readonly preview: (request: PurgeRequest) => Effect.Effect<Count, InvalidRequest | SqlError>
  /**
   * Deletes them 1,000 at a time, each batch a short transaction that skips what is locked, and gives how many. One audit row counts those
   * that were committed, however it ends.
   */
  readonly purge: (
    request: PurgeRequest,
    options: { readonly by: string }
  ) => Effect.Effect<number, InvalidRequest | SqlError>
}>()("@zakops/admin/Purge") {
  static readonly layer = Layer.effect(
    Purge,
    Effect.map(Database.make, (db) => {
      const count = countOld(db)
      const remove = deleteOld(db)
      return Purge.of({
        preview: Effect.fn("Purge.preview")(function*({ kind, olderThan }) {
          return yield* count(kind, yield* checkAge(olderThan))
        }),
        purge: Effect.fn("Purge.purge")(function*({ kind, olderThan }, { by }) {
          return yield* remove(kind, yield* checkAge(olderThan), yield* checkBy(by))
        })
      })
    })
  )
}

const longestAge = Duration.days(36_525)

const checkAge = (given: Duration.Input) => {
  const age = Duration.fromInput(given)
  return Option.isSome(age) && Duration.isLessThanOrEqualTo(age.value, longestAge) && Duration.toMillis(age.value) >= 0
    ? Effect.succeed(age.value)
    : Effect.fail(
      new InvalidRequest({ field: "olderThan", problem: `is ${String(given)}: allowed is up to 100 years` })
    )
}

const mostCounted = 100_000

/** What has no date is not counted: a purge gives it one. */
const countOld = (db: Database.Database) =>
  Effect.fnUntraced(function*(kind: PurgeKind, age: Duration.Duration) {
    const { now, sql, table } = db
    const old = sql`${yield* now} - ${Duration.toMillis(age)}::float8 * interval '1 millisecond'`
    const rows = {
      delivered: sql`SELECT FROM ${table.outbox} WHERE status = 'delivered' AND delivered_at < ${old}`,
      dead:
        sql`SELECT FROM ${table.outbox} WHERE finished AND delivered_at IS NULL AND discarded_at IS NULL AND died_at IS NOT NULL
        AND status = 'dead' AND coalesce(died_at, '-infinity'::timestamptz) < ${old} AND coalesce(last_attempt_at < ${old}, true)`,
      discarded:
        sql`SELECT FROM ${table.outbox} WHERE discarded_at IS NOT NULL AND status = 'dead' AND discarded_at < ${old}
        AND coalesce(last_attempt_at < ${old}, true)`,
      attempts: sql`SELECT FROM ${table.outboxAttempts} WHERE ended_at < ${old}`
    }[kind]
    const [found] = yield* byIndex(db)(
      sql<{ count: number }>`SELECT count(*)::int AS count FROM (${rows} LIMIT ${mostCounted}::int) AS old`
    )
    return toCount(found?.count ?? 0, mostCounted, null)
  })

/** A batch and what it counts in the audit are one transaction. */
const deleteOld = (db: Database.Database) => {
  const count = countInAudit(db)
  return Effect.fnUntraced(function*(kind: PurgeKind, age: Duration.Duration, by: string) {
    const batch: Batch = {
      delivered: deleteDelivered,
      dead: deleteDead,
      discarded: deleteDiscarded,
      attempts: deleteAttempts
    }[kind](db, age)
    const filter = { kind, olderThan: Duration.format(age) }
    if (kind === "dead" || kind === "delivered") {
      const date = dateFinished(db)
      while (((yield* byIndex(db)(date("-infinity", batchSize)))?.count ?? 0) === batchSize) yield* Effect.sleep(pause)
    }
    let audit: string | undefined
    let after = "-infinity"
    let total = 0
    while (true) {
      const { audit: counted, gone } = yield* byIndex(db)(Effect.gen(function*() {
        const gone = yield* batch(after, batchSize)
        return { gone, audit: yield* count(audit, { by, filter, count: gone?.count ?? 0 }) }
      }))
      audit = counted
      total += gone?.count ?? 0
      if (gone === undefined || gone.count < batchSize) return total
      after = gone.last ?? after
      yield* Effect.sleep(pause)
    }
  })
}

/** Counts a batch in the audit row of its call, which the first batch writes, also when it is empty. Gives the row's id. */
const countInAudit = ({ now, sql, table }: Database.Database) =>
  Effect.fnUntraced(function*(
    id: string | undefined,
    row: { readonly by: string; readonly filter: unknown; readonly count: number }
  ) {
    if (id !== undefined) {
      yield* sql`UPDATE ${table.audit} SET count = count + ${row.count}::bigint WHERE id = ${id}::bigint`
      return id
    }
    const time = yield* now
    const [written] = yield* sql<{ id: string }>`
      INSERT INTO ${table.audit} (at, by, action, filter, count)
      VALUES (${time}, ${row.by}, 'purge', ${
      JSON.stringify(row.filter)
    }::jsonb, ${row.count}::bigint) RETURNING id::text AS id`
    return written?.id
  })
