/**
 * Reads the event log as an EventSource, from a checkpoint, without ever skipping an event that commits late.
 *
 * Positions are drawn before commit, so a reader that only remembers the highest one skips what is committed afterwards with a lower one.
 * This one goes by (transaction id, position), and only below the oldest transaction that still runs. At least once: the checkpoint
 * moves after a batch was handled.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventSource } from "@zakops/events/EventSource"
import { SourceFailed } from "@zakops/events/EventSource"
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { listen } from "@zakops/outbox/Notifications"
import { toEnvelope } from "@zakops/outbox/OutboxEntry"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { channelOf } from "./EventLog.ts"

interface LogRow {
  readonly xid: string
  readonly position: bigint
  readonly [column: string]: unknown
}

const tryAgain = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("10 seconds")])

/**
 * The log as a source for the subscription `name` (at most 100 characters), which starts at the beginning and goes on where its checkpoint
 * stands. Several processes may run the same subscription: each reads for itself, and none moves the checkpoint back.
 *
 * @param options `batchSize` events at a time, 100 unless given; `pollInterval` between looks when no wake-up comes, 1 s unless given
 */
export const make = Effect.fnUntraced(function*(name: string, options?: {
  readonly batchSize?: number | undefined
  readonly pollInterval?: Duration.Input | undefined
}): Effect.fn.Return<EventSource, InvalidSchemaName, PgClient | SqlClient> {
  const db = yield* Database.make
  const client = yield* PgClient
  const batchSize = options?.batchSize ?? 100
  const pollInterval = Duration.fromInputUnsafe(options?.pollInterval ?? "1 second")
  const readNext = readAfterCheckpoint(db, name)
  const heldBack = isHeldBack(db, name)
  const advance = advanceCheckpoint(db, name)

  const outlast = <A>(self: Effect.Effect<A, SqlError>): Effect.Effect<A, SourceFailed> =>
    self.pipe(
      Effect.tapError((error) => Effect.logWarning(`subscription ${name}: ${SqlErrors.serverText(error)}`)),
      Effect.retry({ schedule: tryAgain, while: SqlErrors.isDatabaseTrouble }),
      Effect.mapError((cause) => new SourceFailed({ source: name, reason: SqlErrors.serverText(cause), cause }))
    )

  const consume = <E, R>(handle: (batch: Arr.NonEmptyReadonlyArray<EventEnvelope>) => Effect.Effect<void, E, R>) =>
    Effect.scoped(Effect.gen(function*() {
      const wakeups = yield* Queue.sliding<void>(1)
      const wake = Effect.asVoid(Queue.offer(wakeups, void 0))
      yield* Effect.provideService(listen(channelOf(db.schema), wake), PgClient, client)
      let emptyLooks = 0
      while (true) {
        const rows = yield* outlast(readNext(batchSize))
        const last = rows.at(-1)
        if (last === undefined) {
          const patience = (yield* outlast(heldBack)) ? soon(emptyLooks++) : pollInterval
          yield* Effect.timeoutOption(Queue.take(wakeups), Duration.min(patience, pollInterval))
          continue
        }
        emptyLooks = 0
        const batch = yield* Effect.forEach(
          rows,
          (row) =>
            Effect.fromResult(
              Result.mapError(toEnvelope(row), (reason) =>
                new SourceFailed({ source: name, reason: `at position ${row.position}: ${reason}` }))
            )
        )
        if (Arr.isReadonlyArrayNonEmpty(batch)) yield* handle(batch)
        yield* outlast(advance(last))
      }
    }))

  return { name, consume } as EventSource
})

/** The rows of `log` behind the checkpoint. Row-wise, so that the index agent_events_order is entered at the right place. */
const afterCheckpoint = ({ sql, table }: Database.Database, name: string) => {
  const checkpoint = sql`${table.checkpoints} WHERE subscription = ${name}`
  return sql`(log.xid, log.position) >
    (coalesce((SELECT xid FROM ${checkpoint}), '0'::xid8), coalesce((SELECT position FROM ${checkpoint}), 0))`
}

/** At most `limit` events after the checkpoint, in an order that no later commit can change. Walks the index agent_events_order. */
const readAfterCheckpoint = (db: Database.Database, name: string) =>
  Effect.fnUntraced(function*(limit: number) {
    const { now, sql, table } = db
    const time = yield* now
    // An older system's events may have no correlation id or time of their own.
    return yield* sql<LogRow>`
      SELECT id, coalesce(correlation_id, id) AS correlation_id, aggregate_type, aggregate_id, coalesce(event_type, '') AS event_type,
        coalesce(schema_version, 1) AS schema_version, event_data, trace_id, headers, coalesce(created_at, ${time}) AS created_at,
        log.xid::text AS xid, log.position
      FROM ${table.agentEvents} AS log
      WHERE ${afterCheckpoint(db, name)} AND log.xid < pg_snapshot_xmin(pg_current_snapshot())
      ORDER BY log.xid, log.position
      LIMIT ${limit}::int`
  })

/**
 * Whether committed events after the checkpoint wait for an older transaction to end. Nobody tells when it does, if it wrote no events
 * of its own (it may even be another database's): then it pays to look again soon.
 */
const isHeldBack = (db: Database.Database, name: string) =>
  Effect.map(
    db.sql`SELECT 1 FROM ${db.table.agentEvents} AS log
      WHERE ${afterCheckpoint(db, name)}
      LIMIT 1`,
    (rows) => rows.length > 0
  )

/** 10 ms at first, twice as long after each look that found nothing. */
const soon = (looks: number): Duration.Duration => Duration.millis(10 * 2 ** Math.min(looks, 20))

/** Moves the checkpoint forward to `row`; never back, should another process be ahead. */
const advanceCheckpoint = ({ now, sql, table }: Database.Database, name: string) =>
  Effect.fnUntraced(function*(row: LogRow) {
    const time = yield* now
    yield* sql`
      INSERT INTO ${table.checkpoints} AS checkpoint (subscription, xid, position, updated_at)
      VALUES (${name}, ${row.xid}::xid8, ${row.position}, ${time})
      ON CONFLICT (subscription) DO UPDATE
        SET xid = excluded.xid, position = excluded.position, updated_at = excluded.updated_at
        WHERE (checkpoint.xid, checkpoint.position) < (excluded.xid, excluded.position)`
  })
