/**
 * A connection to the server, for publishers and sources. It does not reconnect: what is on its way when it breaks fails at once, and whoever
 * needs one opens another.
 *
 * A server that owes an answer and says nothing for `timeout` is taken for gone, and the connection is closed with all that waits on it.
 */
import { TransportDown } from "@zakops/events/EventPublisher"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createClient } from "redis"
import { inWords } from "./redisErrors.ts"
import type { RedisOptions } from "./RedisOptions.ts"

/** What an answer may be, before it is decoded. */
export type Answer = unknown

export interface RedisConnection {
  /**
   * Sends one command; those that are sent at the same time share a packet.
   *
   * @param grace milliseconds that the server may let pass on purpose before it answers
   */
  readonly send: (args: ReadonlyArray<string>, grace?: number) => Promise<Answer>
}

/** Milliseconds that the server has to answer. */
export const timeoutOf = (options: RedisOptions) => Duration.toMillis(options.timeout ?? "10 seconds")

const clientOf = (options: RedisOptions, timeout: number) =>
  createClient({
    name: "zakops-outbox",
    ...options.client,
    url: Redacted.value(options.url),
    RESP: 2,
    disableOfflineQueue: true,
    // The client's own watch over each command makes a timer and a signal for it, which is a tenth of what a command costs.
    commandOptions: { ...options.client?.commandOptions, timeout: 0 },
    socket: { connectTimeout: timeout, ...options.client?.socket, reconnectStrategy: false } as never
  })

/** One connection, until the scope closes. `lost` is called when it is of no more use. */
export const open = Effect.fnUntraced(function*(
  options: RedisOptions,
  lost: () => void
): Effect.fn.Return<RedisConnection, TransportDown, Scope.Scope> {
  const timeout = timeoutOf(options)
  const client = clientOf(options, timeout)
  yield* Effect.addFinalizer(() => Effect.sync(() => client.isOpen && client.destroy()))
  client.on("error", lost).on("end", lost)
  yield* Effect.tryPromise({
    try: () => client.connect(),
    catch: (cause) => new TransportDown({ reason: `Redis cannot be reached: ${inWords(cause)}` })
  }).pipe(
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => new TransportDown({ reason: `Redis does not answer within ${timeout} ms` })
    })
  )

  // Answers come in the order of the commands, so one look at when the last has come is enough for all that are waited for.
  let waiting = 0
  let until = 0
  const watch = setInterval(() => {
    if (waiting === 0 || performance.now() <= until) return
    lost()
    client.destroy()
  }, Math.min(1000, timeout / 4))
  watch.unref()
  yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(watch)))

  const send = (args: ReadonlyArray<string>, grace = 0) => {
    if (waiting++ === 0) until = performance.now() + timeout + grace
    const heard = () => {
      waiting--
      until = performance.now() + timeout
    }
    const answer = client.sendCommand(args)
    answer.then(heard, heard)
    return answer
  }
  return { send }
})
