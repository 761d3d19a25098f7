/**
 * Listens for wake-ups, whatever becomes of the connection: one that is lost, or that no longer hears anything, is opened anew.
 *
 * That nothing is heard shows in no error: a firewall has forgotten the connection, or a pooler lent its session to somebody else. So each
 * listener calls itself from time to time, and what does not hear its own call says so and connects again. Polling covers the gap.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { labelled } from "@zakops/events/labelled"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import { randomUUID } from "node:crypto"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { connectionSettings } from "./ConnectionSettings.ts"

const reconnect = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/** How often a listener calls itself, and how long it waits for the call: a deaf one is noticed within the sum of the two. */
const betweenCalls = Duration.seconds(8)
const callTimeout = Duration.seconds(4)

/** A notification that begins so is a listener's own call, and wakes nobody. */
const callPrefix = "call:"

/** The metric `zakops.listener.connected` {channel}: 1 while the listener hears, 0 while it does not, or has been left out. */
export const listenerConnected = Metric.gauge("zakops.listener.connected", {
  description: "Whether a listener is connected: 1, or 0 while what others commit is found by polling only",
  attributes: { unit: "{connection}" }
})
const listenersBy = labelled(listenerConnected)

class Deaf extends Data.TaggedError("Deaf") {}

/**
 * Runs `signal` on every notification on `channel`, and once after each (re)connect, since what was sent while nobody listened is gone.
 * Listens in the scope, on a connection outside the pool: a pool of one would have none left. A lost connection is opened again, after
 * 100 ms at first, at most 5 s.
 *
 * With `OUTBOX_POOLER=transaction` it takes `DIRECT_URL`; without one it says so and listens to nothing.
 */
export const listen = Effect.fnUntraced(function*(
  channel: string,
  signal: Effect.Effect<void>,
  /** Is told whenever listening has begun or ended. */
  onState: (listening: boolean) => void = () => {}
) {
  const client = yield* PgClient.PgClient
  const { directUrl, pooler } = yield* connectionSettings
  if (pooler === "transaction" && Option.isNone(directUrl)) {
    yield* Metric.update(listenersBy({ channel }), 0)
    return yield* Effect.logWarning(
      `OUTBOX_POOLER is transaction and DIRECT_URL is not set: nobody listens on ${channel}, what others commit is found by polling`
    )
  }
  const config = {
    ...client.config,
    ...(Option.isSome(directUrl) ? { url: directUrl.value } : {}),
    applicationName: `${channel} listener`
  }
  const connected = (value: 0 | 1) => Metric.update(listenersBy({ channel }), value)
  yield* connected(0)
  const me = `${callPrefix}${randomUUID()}`

  const whileConnected = Effect.fnUntraced(function*(connectionScope: Scope.Scope) {
    const connection = yield* Effect.retry(
      Scope.provide(PgConnection.make(config), connectionScope).pipe(
        Effect.tapError((error) => Effect.logDebug(`cannot listen on ${channel}: ${SqlErrors.serverText(error)}`))
      ),
      reconnect
    )
    // A network that falls silent here would be waited for until TCP gives it up, which takes a quarter of an hour.
    const notifications = yield* Effect.timeoutOrElse(connection.listen(channel), {
      duration: callTimeout,
      orElse: () => new Deaf()
    })
    const heard = yield* Queue.sliding<void>(1)
    onState(true)
    yield* Effect.acquireRelease(connected(1), () => connected(0))
    yield* signal
    const hear = Effect.gen(function*() {
      const payloads = (yield* Queue.takeAll(notifications)).map(({ payload }) => payload)
      if (payloads.includes(me)) yield* Queue.offer(heard, void 0)
      if (payloads.some((payload) => !payload.startsWith(callPrefix))) yield* signal
    })
    const call = Effect.gen(function*() {
      yield* Effect.sleep(betweenCalls)
      // A database that is away shows on the connection itself; a pool that is busy says nothing of it.
      const called = yield* Effect.timeoutOption(client`SELECT pg_notify(${channel}, ${me})`, callTimeout)
      if (Option.isNone(called)) return
      if (Option.isNone(yield* Effect.timeoutOption(Queue.take(heard), callTimeout))) return yield* new Deaf()
    })
    return yield* Effect.raceFirst(Effect.forever(hear), Effect.forever(call))
  })

  yield* Effect.gen(function*() {
    const connectionScope = yield* Scope.make()
    // The connection is closed before the listening on it is: a deaf one would be told to stop, and wait for the answer for ever.
    return yield* Effect.ensuring(
      whileConnected(connectionScope),
      Effect.andThen(Effect.sync(() => onState(false)), Scope.close(connectionScope, Exit.void))
    )
  }).pipe(
    Effect.scoped,
    Effect.catch((error) =>
      Effect.logWarning(
        error instanceof Deaf
          ? `not hearing anything on ${channel}, connecting again: is there a pooler in between? (OUTBOX_POOLER, DIRECT_URL)`
          : `no longer listening on ${channel}, connecting again: ${SqlErrors.serverText(error)}`
      )
    ),
    Effect.forever,
    Effect.forkScoped
  )
})
