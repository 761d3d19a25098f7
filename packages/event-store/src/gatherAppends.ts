/**
 * Appends that need no transaction of a caller's and come at the same time share one statement, and so one commit: under load that is
 * most of the cost.
 *
 * Each is still taken whole or not at all, for itself. What the shared statement cannot take without waiting (a stream that somebody is
 * just moving, a version that is not as expected) goes the ordinary way, alone: nobody waits for another's stream. A single append never
 * waits for company.
 */
import type { Database } from "@zakops/migrations/Database"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import type { NewEntry } from "@zakops/outbox/emitting/Emission"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import type { SqlError } from "effect/sql/SqlError"
import type { Append, Group } from "./appendGroups.ts"
import { appendGroups, eventsOf } from "./appendGroups.ts"
import type { ExpectedVersion, StreamId, TransactionTooOld, WrongExpectedVersion } from "./StreamId.ts"
import { toKey } from "./StreamId.ts"

type AppendAlone = (
  stream: StreamId,
  expected: ExpectedVersion,
  entries: ReadonlyArray<NewEntry>
) => Effect.Effect<number, SqlError | WrongExpectedVersion | TransactionTooOld>

interface Request extends Append {
  readonly version: Deferred.Deferred<number, SqlError | WrongExpectedVersion | TransactionTooOld>
  /** Its caller has gone before it was begun. */
  cancelled: boolean
}

type RequestGroup = Group<Request>

/** A statement under way. */
interface Lane {
  /** The stream has been moved, or cannot be. */
  readonly freeStream: (stream: StreamId) => void
  readonly ended: Effect.Effect<void>
}

/** How many statements run at the same time: one commits while another is on its way. */
const lanes = 2
/**
 * Milliseconds after which a statement that has not ended frees its lane: it waits for a lock, and the others are not to wait with it.
 */
const patience = 10
/** What one statement takes at most, so that the first of it is not kept waiting by the rest. */
const mostRequests = 100
const mostEvents = 1000

/** Gives an append with the meaning of `alone`, for callers that have no transaction open. Runs fibers in the scope. */
export const gatherAppends = Effect.fnUntraced(function*(db: Database, alone: AppendAlone) {
  const wakeups = yield* Queue.sliding<void>(1)
  const running = yield* FiberSet.make()
  const appendTogether = appendGroups(db)

  const answerAlone = (lane: Lane) => (request: Request) =>
    Effect.flatMap(Effect.exit(alone(request.stream, request.expected, request.entries)), (exit) => {
      lane.freeStream(request.stream)
      return Deferred.done(request.version, exit)
    })

  /** Several at a time: they may have to wait for locks, and not for each other. */
  const answerEach = (lane: Lane, requests: ReadonlyArray<Request>) =>
    Effect.forEach(requests, answerAlone(lane), { concurrency: "unbounded", discard: true })

  const answer = Effect.fnUntraced(function*(lane: Lane, requests: ReadonlyArray<Request>) {
    const [only] = requests
    if (requests.length === 1 && only !== undefined) return yield* answerAlone(lane)(only)
    const groups = toGroups(requests)
    const placed = yield* Effect.result(appendTogether(groups))
    if (placed._tag === "Failure") {
      // What a lost connection has made of the statement nobody knows: it must not be tried again. What Postgres has rolled back (class
      // 40)
      // or refused may be.
      const rolledBack = SqlErrors.sqlState(placed.failure)?.startsWith("40") === true
      return SqlErrors.isDatabaseTrouble(placed.failure) && !rolledBack
        ? yield* Effect.forEach(requests, ({ version }) => Deferred.fail(version, placed.failure), { discard: true })
        : yield* answerEach(lane, requests)
    }
    const left: Array<Request> = []
    for (const [index, group] of groups.entries()) {
      const end = placed.success.get(index)
      if (end === undefined) {
        left.push(...group.appends)
        continue
      }
      lane.freeStream(group.stream)
      let version = end - eventsOf(group)
      for (const request of group.appends) {
        version += request.entries.length
        yield* Deferred.succeed(request.version, version)
      }
    }
    yield* answerEach(lane, left)
  })

  let waiting: Array<Request> = []
  let busy = 0
  /** How many the last statement took. */
  let company = 1
  /** The streams of the statements under way: another one would wait for their locks. */
  const moving = new Set<string>()
  const wake = () => {
    if (waiting.length > 0) Queue.offerUnsafe(wakeups, void 0)
  }

  /** Takes a lane for a statement that moves the streams. */
  const occupy = (streams: ReadonlyArray<StreamId>): Lane => {
    const held = new Set(streams.map(toKey))
    busy++
    for (const key of held) moving.add(key)
    let left = false
    const leave = () => {
      if (left) return
      left = true
      busy--
      wake()
    }
    const timer = setTimeout(leave, patience)
    return {
      freeStream: (stream) => {
        // By the time a statement ends, another one may be moving the stream already.
        if (held.delete(toKey(stream))) moving.delete(toKey(stream))
        wake()
      },
      ended: Effect.sync(() => {
        clearTimeout(timer)
        for (const key of held) moving.delete(key)
        leave()
        wake()
      })
    }
  }

  const start = (requests: ReadonlyArray<Request>) => {
    company = requests.length
    const lane = occupy(requests.map(({ stream }) => stream))
    return FiberSet.run(
      running,
      answer(lane, requests).pipe(
        // Nobody is left waiting, whatever happens to the fiber that was to answer.
        Effect.onExit((exit) =>
          Exit.isFailure(exit)
            ? Effect.forEach(requests, ({ version }) => Deferred.failCause(version, exit.cause), { discard: true })
            : Effect.void
        ),
        Effect.ensuring(lane.ended)
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
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      const left = waiting
      waiting = []
      return Effect.forEach(left, ({ version }) => Deferred.interrupt(version), { discard: true })
    })
  )

  const inCompany: AppendAlone = (stream, expected, entries) =>
    Effect.suspend(() => {
      const request: Request = { stream, expected, entries, version: Deferred.makeUnsafe(), cancelled: false }
      waiting.push(request)
      wake()
      return Effect.onInterrupt(Deferred.await(request.version), () =>
        Effect.sync(() => {
          request.cancelled = true
        }))
    })

  const append: AppendAlone = (stream, expected, entries) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        // It may have to wait for the lock of its key.
        // And when the scope has closed, nobody is there any more to gather.
        if (closed || entries.some(({ orderingKey }) => orderingKey !== null)) {
          return restore(alone(stream, expected, entries))
        }
        if (busy > 0 || company > 1 || waiting.length > 0) return restore(inCompany(stream, expected, entries))
        // Where appends come one by one, each goes straight: a queue and another fiber would only delay it.
        return Effect.ensuring(restore(alone(stream, expected, entries)), occupy([stream]).ended)
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
    const key = toKey(request.stream)
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

const toGroups = (requests: ReadonlyArray<Request>): ReadonlyArray<RequestGroup> => {
  const groups = new Map<string, RequestGroup & { readonly appends: Array<Request> }>()
  for (const request of requests) {
    const key = toKey(request.stream)
    const group = groups.get(key)
    if (group === undefined) {
      groups.set(key, { stream: request.stream, expected: request.expected, appends: [request] })
    } else group.appends.push(request)
  }
  return [...groups.values()]
}
