/**
 * Wake-ups between processes by NOTIFY and LISTEN: sent after commit, gathered, and listened for on a connection of their own.
 *
 * A wake-up says only "look again" and may be lost: whoever waits for one also polls. NOTIFY in every producer's transaction would
 * serialise their commits (measured at 16 connections: 11,147 transactions/s without, 4,590 with, 7,126 at 64 gathered).
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"

const gathering = Duration.millis(5)

/**
 * Gives an effect that asks for a NOTIFY on each of `channels` and returns at once. All that is asked for within 5 ms is sent in one
 * statement; the first is sent without delay. Runs a fiber in the scope. A notification that cannot be sent is logged at debug level:
 * listeners poll.
 */
export const notifier = Effect.gen(function*() {
  const sql = yield* SqlClient
  const requests = yield* Queue.sliding<void>(1)
  const asked = new Set<string>()
  const send = Effect.suspend(() => {
    const channels = [...asked]
    asked.clear()
    return sql`SELECT pg_notify(channel, '') FROM unnest(${channels}::text[]) AS channel`
  })
  yield* Queue.take(requests).pipe(
    Effect.andThen(send),
    Effect.catch((error) => Effect.logDebug(`a notification was not sent: ${SqlErrors.serverText(error)}`)),
    Effect.andThen(Effect.sleep(gathering)),
    Effect.forever,
    Effect.forkScoped
  )
  return (...channels: ReadonlyArray<string>) =>
    Effect.suspend(() => {
      for (const channel of channels) asked.add(channel)
      return Effect.asVoid(Queue.offer(requests, void 0))
    })
})

const reconnect = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/**
 * Runs `signal` on every notification on `channel`, and once after each (re)connect, since what was sent while nobody listened is gone.
 * Listens in the scope, on a connection outside the pool: a pool of one would have none left. A lost connection is opened again, after
 * 100 ms at first, at most 5 s.
 */
export const listen = Effect.fnUntraced(function*(channel: string, signal: Effect.Effect<void>) {
  const { config } = yield* PgClient.PgClient
  yield* Effect.gen(function*() {
    const connection = yield* Effect.retry(
      PgConnection.make({ ...config, applicationName: `${channel} listener` }).pipe(
        Effect.tapError((error) => Effect.logDebug(`cannot listen on ${channel}: ${SqlErrors.serverText(error)}`))
      ),
      reconnect
    )
    const notifications = yield* connection.listen(channel)
    yield* signal
    return yield* Effect.forever(Effect.andThen(Queue.takeAll(notifications), signal))
  }).pipe(
    Effect.scoped,
    Effect.catch((error) =>
      Effect.logWarning(`no longer listening on ${channel}, connecting again: ${SqlErrors.serverText(error)}`)
    ),
    Effect.forever,
    Effect.forkScoped
  )
})
