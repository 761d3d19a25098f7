/**
 * Appends that need no transaction of a caller's and come at the same time share one statement, and so one commit: under load that is
 * most of the cost.
 *
 * Each is still taken whole or not at all, for itself. What the shared statement cannot take without waiting (a stream that somebody is just moving, a
 * version that is not as expected) goes the ordinary way, alone: nobody waits for another's stream. A single append never waits for company.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { NewEntry } from "@zakops/outbox/Emission"
import { asRecordset, insertFrom } from "@zakops/outbox/insertEntries"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import type { SqlError } from "effect/sql/SqlError"
import { logColumns } from "./appendEvents.ts"
import type { ExpectedVersion, StreamId, TransactionTooOld, WrongExpectedVersion } from "./StreamId.ts"
import { toText } from "./StreamId.ts"

type AppendAlone = (
  stream: StreamId,
  expected: ExpectedVersion,
  entries: ReadonlyArray<NewEntry>
) => Effect.Effect<number, SqlError | WrongExpectedVersion | TransactionTooOld>

interface Request {
  readonly stream: StreamId
  readonly expected: ExpectedVersion
  readonly entries: ReadonlyArray<NewEntry>
  readonly version: Deferred.Deferred<number, SqlError | WrongExpectedVersion | TransactionTooOld>
  /** Its caller has gone before it was begun. */
  cancelled: boolean
}

/** Appends to one stream that are written as one: several only where none expects a version. */
interface Group {
  readonly stream: StreamId
  readonly expected: ExpectedVersion
  readonly requests: Array<Request>
}

/** How many statements run at the same time: one commits while another is on its way. */
const lanes = 2
/** What one statement takes at most, so that the first of it is not kept waiting by the rest. */
const mostRequests = 100
const mostEvents = 1000

/** Gives an append with the meaning of `alone`, for callers that have no transaction open. Runs fibers in the scope. */
export const gatherAppends = Effect.fnUntraced(function*(db: Database, alone: AppendAlone) {
  const wakeups = yield* Queue.sliding<void>(1)
  const running = yield* FiberSet.make()
  const appendTogether = appendGroups(db)

  const answerAlone = (request: Request) =>
    Effect.flatMap(
      Effect.exit(alone(request.stream, request.expected, request.entries)),
      (exit) => Deferred.done(request.version, exit)
    )

  /** Several at a time: they may have to wait for locks, and not for each other. */
  const answerEach = (requests: ReadonlyArray<Request>) =>
    Effect.forEach(requests, answerAlone, { concurrency: "unbounded", discard: true })

  const answer = Effect.fnUntraced(function*(requests: ReadonlyArray<Request>) {
    const [only] = requests
    if (requests.length === 1 && only !== undefined) return yield* answerAlone(only)
    const groups = toGroups(requests)
    const placed = yield* Effect.result(appendTogether(groups))
    if (placed._tag === "Failure") {
      // What a lost connection has made of the statement nobody knows: it must not be tried again.
      return SqlErrors.isDatabaseTrouble(placed.failure)
        ? yield* Effect.forEach(requests, ({ version }) => Deferred.fail(version, placed.failure), { discard: true })
        : yield* answerEach(requests)
    }
    const left: Array<Request> = []
    for (const [index, group] of groups.entries()) {
      const end = placed.success.get(index)
      if (end === undefined) {
        left.push(...group.requests)
        continue
      }
      let version = end - eventsOf(group)
      for (const request of group.requests) {
        version += request.entries.length
        yield* Deferred.succeed(request.version, version)
      }
    }
    yield* answerEach(left)
  })

  let waiting: Array<Request> = []
  let busy = 0
  /** How many the last statement took. */
  let company = 1
  /** The streams of the statements under way: another one would wait for their locks. */
  const moving = new Set<string>()
  const wake = Effect.asVoid(Queue.offer(wakeups, void 0))

  const start = (requests: ReadonlyArray<Request>) => {
    const streams = requests.map(({ stream }) => toText(stream))
    busy++
    company = requests.length
    for (const stream of streams) moving.add(stream)
    return FiberSet.run(
      running,
      answer(requests).pipe(
        // Nobody is left waiting, whatever happens to the fiber that was to answer.
        Effect.onExit((exit) =>
          Exit.isFailure(exit)
            ? Effect.forEach(requests, ({ version }) => Deferred.failCause(version, exit.cause), { discard: true })
            : Effect.void
        ),
        Effect.ensuring(Effect.suspend(() => {
          busy--
          for (const stream of streams) moving.delete(stream)
          return wake
        }))
      )
    )
  }

  const startWhatFits = Effect.suspend(() => {
    const ready = waiting.filter((request) => !request.cancelled)
    // Shared among the free lanes: those who wait together would otherwise go on together, one lane's worth at a time.
    const { later, now } = fitting(ready, Math.ceil(ready.length / (lanes - busy)), moving)
    waiting = later
    return now.length === 0 ? Effect.succeed(false) : Effect.as(start(now), true)
  })

  yield* Queue.take(wakeups).pipe(
    Effect.andThen(
      Effect.repeat(Effect.suspend(() => busy < lanes ? startWhatFits : Effect.succeed(false)), {
        while: (more) => more
      })
    ),
    Effect.forever,
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() =>
    Effect.forEach(waiting, ({ version }) => Deferred.interrupt(version), { discard: true })
  )

  const inCompany: AppendAlone = (stream, expected, entries) =>
    Effect.suspend(() => {
      const request: Request = { stream, expected, entries, version: Deferred.makeUnsafe(), cancelled: false }
      waiting.push(request)
      return Effect.andThen(wake, Deferred.await(request.version)).pipe(
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            request.cancelled = true
          })
        )
      )
    })

  const append: AppendAlone = (stream, expected, entries) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (busy > 0 || company > 1 || waiting.length > 0) return restore(inCompany(stream, expected, entries))
        // Where appends come one by one, each goes straight: a queue and another fiber would only delay it.
        const key = toText(stream)
        busy++
        moving.add(key)
        return Effect.ensuring(
          restore(alone(stream, expected, entries)),
          Effect.suspend(() => {
            busy--
            moving.delete(key)
            return wake
          })
        )
      })
    )
  return append
})

/** What goes into one statement, of at most that many streams: a stream only once, but for appends that expect no version. */
const fitting = (requests: ReadonlyArray<Request>, mostStreams: number, moving: ReadonlySet<string>) => {
  const now: Array<Request> = []
  const later: Array<Request> = []
  const streams = new Map<string, ExpectedVersion>()
  let [chosen, events] = [0, 0]
  for (const request of requests) {
    const key = toText(request.stream)
    const before = streams.get(key)
    const fits = now.length < mostRequests && (now.length === 0 || events + request.entries.length <= mostEvents) &&
      (before === undefined ? chosen < mostStreams && !moving.has(key) : before === "any" && request.expected === "any")
    if (!fits) {
      later.push(request)
      // Those of one stream keep their order.
      streams.set(key, 0)
      continue
    }
    if (before === undefined) chosen++
    streams.set(key, request.expected)
    events += request.entries.length
    now.push(request)
  }
  return { now, later }
}

const toGroups = (requests: ReadonlyArray<Request>): ReadonlyArray<Group> => {
  const groups = new Map<string, Group>()
  for (const request of requests) {
    const key = toText(request.stream)
    const group = groups.get(key)
    if (group === undefined) {
      groups.set(key, { stream: request.stream, expected: request.expected, requests: [request] })
    } else group.requests.push(request)
  }
  return [...groups.values()]
}

const eventsOf = ({ requests }: Group) => requests.reduce((sum, { entries }) => sum + entries.length, 0)

/**
 * Appends to all streams that can be moved at once, in one statement, and gives their new versions by the group's index. Streams that are
 * locked, or not as expected, are left out.
 *
 * Streams are looked up one by one, and moved by their ctid: a join would be planned while the table is small, and read all of it when it is not.
 */
const appendGroups = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(groups: ReadonlyArray<Group>) {
    const time = yield* now
    const wanted = groups.map(({ expected, requests, stream }, index) => ({
      index,
      aggregate_type: stream.aggregateType,
      aggregate_id: stream.aggregateId,
      // As appendEvents reads it: none for any version, -1 for any but an empty stream.
      expected: expected === "any" ? null : expected === "noStream" ? 0 : expected === "streamExists" ? -1 : expected,
      count: eventsOf({ stream, expected, requests })
    }))
    const entries = groups.flatMap(({ requests }) => requests.flatMap((request) => request.entries))
    // The group of each entry.
    const groupOf = groups.flatMap((group, index) => Array.from({ length: eventsOf(group) }, () => index))
    const events = sql.literal("events")
    const rows = yield* sql<{ index: number; version: number }>`
      WITH wanted AS (
        SELECT *, sum(count) OVER (ORDER BY index) - count AS first FROM jsonb_to_recordset(${
      JSON.stringify(wanted)
    }::jsonb)
          AS wanted (index int, aggregate_type varchar, aggregate_id varchar, expected bigint, count int)
      ),
      locked AS (
        SELECT stream.ctid FROM wanted CROSS JOIN LATERAL (
          SELECT stream.ctid FROM ${table.streams} AS stream
          WHERE stream.aggregate_type = wanted.aggregate_type AND stream.aggregate_id = wanted.aggregate_id
            AND (wanted.expected IS NULL OR wanted.expected IN (-1, stream.version)) AND stream.xid <= pg_current_xact_id()
          FOR UPDATE SKIP LOCKED
        ) AS stream
      ),
      moved AS (
        UPDATE ${table.streams} AS stream SET version = stream.version + wanted.count, xid = pg_current_xact_id()
        FROM wanted
        WHERE stream.ctid = ANY (ARRAY(SELECT ctid FROM locked))
          AND stream.aggregate_type = wanted.aggregate_type AND stream.aggregate_id = wanted.aggregate_id
        RETURNING wanted.index, stream.version
      ),
      created AS (
        INSERT INTO ${table.streams} AS stream (aggregate_type, aggregate_id, version, xid)
        SELECT aggregate_type, aggregate_id, count, pg_current_xact_id() FROM wanted
        WHERE coalesce(expected, 0) = 0 AND (
          SELECT true FROM ${table.streams} AS stream
          WHERE stream.aggregate_type = wanted.aggregate_type AND stream.aggregate_id = wanted.aggregate_id
        ) IS NULL
        ORDER BY aggregate_type, aggregate_id
        ON CONFLICT DO NOTHING
        RETURNING aggregate_type, aggregate_id, version
      ),
      placed AS (
        SELECT wanted.index, moved.version - wanted.count - wanted.first + 1 AS base, moved.version FROM moved JOIN wanted USING (index)
        UNION ALL
        SELECT wanted.index, 1 - wanted.first, created.version FROM created JOIN wanted USING (aggregate_type, aggregate_id)
      ),
      events AS (
        SELECT entries.*, placed.base + entries.seq AS stream_version
        FROM ${
      asRecordset(sql, entries)
    } JOIN placed ON placed.index = (${`{${groupOf.join()}}`}::int[])[entries.seq + 1]
      ),
      queued AS (${insertFrom(sql, table, events, time)}),
      logged AS (
        INSERT INTO ${table.agentEvents} (${logColumns(sql)}, stream_version, created_at)
        SELECT ${logColumns(sql)}, stream_version, ${time} FROM events ORDER BY seq
      )
      SELECT index, version::float8 AS version FROM placed`
    return new Map(rows.map(({ index, version }) => [index, version]))
  })
