/**
 * Changes dead letters in bulk: in batches, each a transaction of its own that changes its entries and counts them in the audit.
 *
 * However it ends, also by a crash in the middle, the one audit row of the call says how many entries were changed. It takes what was
 * dead when it began, each at most once, also where an entry dies again meanwhile. Two at the same time wait for each other's rows,
 * and neither changes what the other has.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { CheckedFilter } from "./DeadFilter.ts"
import { diedAt, isDead, toAudit, whereDead } from "./DeadFilter.ts"

/**
 * The database failed after some batches had been committed. `count` entries were changed, and stay so; that the connection was lost
 * in the middle of a commit, only the audit can tell.
 */
export class StoppedMidway extends Schema.TaggedError<StoppedMidway>()("StoppedMidway", {
  action: Schema.String,
  count: Schema.Int,
  cause: Schema.Defect()
}) {
  override get message() {
    const { cause } = this
    const words = cause instanceof SqlError ? SqlErrors.serverText(cause) : String(cause)
    return `${this.action} stopped after ${this.count} entries, which stay as they are now: ${words}`
  }
}

/** A dead letter that the transaction has locked. */
export interface LockedDead {
  readonly id: string
  readonly orderingKey: string | null
  readonly blocks: boolean
}

export interface Change {
  readonly action: "redrive" | "discard"
  readonly by: string
  readonly filter: CheckedFilter
  /** What the audit keeps beside the filter. */
  readonly settings?: Record<string, unknown>
  /** Changes the entries, which come in the order of writing. `done` were changed by this call before, which began at `began`. */
  readonly change: (
    entries: ReadonlyArray<LockedDead>,
    call: { readonly began: Fragment; readonly done: number }
  ) => Effect.Effect<void, SqlError>
}

/** Each transaction holds at most this many rows and keys locked: about 50 ms on a laptop. */
export const batchSize = 1000

/** Others held a lock for too long, or there was a deadlock. */
const lostToOthers = (error: SqlError) => /^(40001|40P01|55P03)$/.test(SqlErrors.sqlState(error) ?? "")

// With 500 ms of waiting in each: about 20 seconds, which is longer than a transaction that emits should take.
const tryAgain = Schedule.spaced("100 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 30 }))

/** Gives how many were changed. In a transaction that is open, all batches are part of it. */
export const changeDead = (db: Database) => {
  const begin = beginning(db)
  const lock = lockBatch(db)
  const count = countInAudit(db)
  return Effect.fnUntraced(function*({ action, by, change, filter, settings = {} }: Change) {
    const { sql } = db
    const { at, last } = yield* begin
    const began = sql`${at}::timestamptz`
    let done = 0
    let after = "0"
    let audit: string | undefined
    while (true) {
      const batch = sql.withTransaction(Effect.gen(function*() {
        const rows = yield* lock(filter, began, after, last)
        if (rows.length > 0) yield* change(rows, { began, done })
        const row = { by, action, filter: { ...toAudit(filter), ...settings }, count: rows.length }
        return { rows, audit: yield* count(audit, row, began) }
      })).pipe(Effect.retry({ while: lostToOthers, schedule: tryAgain }))
      const { audit: counted, rows } = yield* done === 0
        ? batch
        : Effect.mapError(batch, (cause) => new StoppedMidway({ action, count: done, cause }))
      audit = counted
      done += rows.length
      after = rows.at(-1)?.seq ?? last
      if (rows.length > 0) yield* wake(db)
      if (rows.length < batchSize) return done
    }
  })
}

/** The time at which the call begins, and the entry at which it will end: one that is redriven to the end of its key comes after it. */
const beginning = ({ now, sql, table }: Database) =>
  Effect.gen(function*() {
    const time = yield* now
    const [row] = yield* sql<{ at: string; last: string }>`
      SELECT (${time})::text AS at,
        coalesce((SELECT max(o.seq) FROM ${table.outbox} o WHERE ${sql.literal(isDead)}), 0)::text AS last`
    return row ?? (yield* Effect.die(new Error("a SELECT without FROM gives one row")))
  })

/** Walks the index outbox_dead. Waits for whoever holds a row, and then leaves out what is dead no more. */
const lockBatch = (db: Database) => (filter: CheckedFilter, began: Fragment, after: string, last: string) => {
  const { sql, table } = db
  return sql<LockedDead & { readonly seq: string }>`
    SELECT o.id, o.ordering_key AS "orderingKey", o.blocks, o.seq::text AS seq
    FROM ${table.outbox} o
    WHERE ${whereDead(db, filter, began)} AND coalesce(${sql.literal(diedAt)}, '-infinity') <= ${began}
      AND o.seq > ${after}::bigint AND o.seq <= ${last}::bigint
    ORDER BY o.seq
    LIMIT ${batchSize}::int
    FOR UPDATE OF o`
}

/** Counts a batch in the audit row of its call, which the first batch writes, also when it is empty. Gives the row's id. */
const countInAudit = ({ sql, table }: Database) =>
  Effect.fnUntraced(function*(
    id: string | undefined,
    row: { readonly by: string; readonly action: string; readonly filter: unknown; readonly count: number },
    began: Fragment
  ) {
    if (id !== undefined) {
      yield* sql`UPDATE ${table.audit} SET count = count + ${row.count}::bigint WHERE id = ${id}::bigint`
      return id
    }
    const [written] = yield* sql<{ id: string }>`
      INSERT INTO ${table.audit} (at, by, action, filter, count)
      VALUES (${began}, ${row.by}, ${row.action}, ${JSON.stringify(row.filter)}::jsonb, ${row.count}::bigint)
      RETURNING id::text AS id`
    return written?.id
  })

/** Tells the processors that listen; those that do not find the entries at their next poll. */
export const wake = ({ schema, sql }: Database) =>
  sql.afterCommit(Effect.ignore(sql`SELECT pg_notify(${`${schema}_outbox`}, '')`))
