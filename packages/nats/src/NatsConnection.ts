/**
 * The connection to the server that publishers and sources share: the stream is looked for when it opens, and made where that is asked for.
 *
 * A connection that breaks fails what is on its way at once, and is replaced by the next call: see `SharedConnection`.
 */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream"
import { jetstream, JetStreamApiCodes, JetStreamApiError, jetstreamManager } from "@nats-io/jetstream"
import type { NatsConnection as Client } from "@nats-io/transport-node"
import { connect } from "@nats-io/transport-node"
import { TransportDown } from "@zakops/events/EventPublisher"
import * as SharedConnection from "@zakops/events/SharedConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { inWords } from "./natsErrors.ts"
import type { NatsOptions } from "./NatsOptions.ts"
import { defaultPrefix } from "./NatsOptions.ts"

export interface NatsConnection {
  readonly client: Client
  readonly stream: JetStreamClient
  readonly manager: JetStreamManager
  /** Closes it and has the next call open another. */
  readonly drop: Effect.Effect<void>
}

/** Milliseconds that the server has to answer. */
export const timeoutOf = (options: NatsOptions) => Duration.toMillis(options.timeout ?? "10 seconds")

export const make = (
  options: NatsOptions
): Effect.Effect<SharedConnection.SharedConnection<NatsConnection, TransportDown>, never, Scope.Scope> =>
  SharedConnection.make((lost) => open(options, lost))

/** One connection, until the scope closes. `lost` is called when it is of no more use. */
export const open = Effect.fnUntraced(function*(
  options: NatsOptions,
  lost: () => void
): Effect.fn.Return<NatsConnection, TransportDown, Scope.Scope> {
  const timeout = timeoutOf(options)
  const client = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        connect({
          name: "zakops-outbox",
          // A server that is gone without a word is noticed within two of them.
          pingInterval: 10_000,
          noAsyncTraces: true,
          ...options.connection,
          timeout: options.connection.timeout ?? timeout,
          reconnect: false,
          waitOnFirstConnect: false
        }),
      catch: (cause) => new TransportDown({ reason: `NATS cannot be reached: ${inWords(cause)}` })
    }),
    (client) => Effect.promise(() => client.close().catch(() => undefined))
  )
  void client.closed().then(lost)
  const manager = yield* Effect.tryPromise({
    try: async () => {
      const manager = await jetstreamManager(client, { checkAPI: false, timeout })
      await findStream(manager, options)
      return manager
    },
    catch: (cause) => new TransportDown({ reason: `NATS has no stream ${options.stream} for us: ${inWords(cause)}` })
  })
  return {
    client,
    stream: jetstream(client, { timeout }),
    manager,
    drop: Effect.suspend(() => {
      lost()
      return Effect.promise(() => client.close().catch(() => undefined))
    })
  }
})

const findStream = async (
  manager: JetStreamManager,
  { create, stream, subjectPrefix = defaultPrefix }: NatsOptions
) => {
  try {
    await manager.streams.info(stream)
  } catch (cause) {
    const isMissing = cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamNotFound
    if (!isMissing || create === undefined) throw cause
    await manager.streams.add({ subjects: [`${subjectPrefix}.>`], ...create, name: stream })
  }
}
