/**
 * A producer of Kafka for publishers, which has `timeout` for each request, its own tries included. One that has not been answered by then, or
 * has failed of anything but its messages, is given up: its connections are cut before anybody hears of it, and it sends nothing any more, so
 * that none of its tries comes behind what the next one sends. What was on its way may be stored all the same; over TLS even behind that, as a
 * second copy.
 */
import type { MessageToProduce } from "@platformatic/kafka"
import { ProduceAcks, Producer, stringSerializers } from "@platformatic/kafka"
import { TransportDown } from "@zakops/events/EventPublisher"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { TLSSocket } from "node:tls"
import { inWords } from "./kafkaErrors.ts"
import type { KafkaOptions } from "./KafkaOptions.ts"
import { clientOptions } from "./KafkaOptions.ts"

export type Message = MessageToProduce<string, string, string, string>

export interface KafkaConnection {
  /** Resolves when all in-sync replicas have all of the messages. */
  readonly send: (messages: ReadonlyArray<Message>) => Promise<unknown>
}

/**
 * Until the scope closes.
 *
 * @param isAboutMessages whether a request has failed of its messages, so that the connection is as good as before
 * @param lost            called when it is of no more use: connections and numbering begin anew with another
 */
export const open = Effect.fnUntraced(function*(
  options: KafkaOptions,
  createTopics: boolean,
  isAboutMessages: (cause: unknown) => boolean,
  lost: () => void
): Effect.fn.Return<KafkaConnection, TransportDown, Scope.Scope> {
  const client = clientOptions(options)
  const producer = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new Producer<string, string, string, string>({
        ...client,
        idempotent: true,
        acks: ProduceAcks.ALL,
        // As Kafka's own clients ask for a new number.
        producerId: -1n,
        producerEpoch: -1,
        serializers: stringSerializers,
        autocreateTopics: createTopics,
        // Fewer than two would mean for ever. The outbox tries again by itself.
        retries: 2,
        retryDelay: 50
      })
    ),
    (producer) => Effect.sync(() => cut(producer))
  )

  let failed: { readonly cause: unknown } | undefined
  const ask = async (request: () => Promise<unknown>) => {
    // What waited behind the request that failed.
    if (failed !== undefined) throw failed.cause
    try {
      await within(client.timeout, request)
    } catch (cause) {
      if (!isAboutMessages(cause)) {
        failed = { cause }
        cut(producer)
        lost()
      }
      throw cause
    }
  }
  // Nobody may have a topic yet: whether anybody is there is what counts.
  yield* Effect.tryPromise({
    try: () => ask(() => producer.metadata({ topics: [] })),
    catch: (cause) => new TransportDown({ reason: `Kafka cannot be reached: ${inWords(cause)}` })
  })
  return { send: (messages) => ask(() => producer.send({ messages: [...messages] })) }
})

/** Closes a producer at once. Closing alone waits until a broker has taken what was written, and one that stands still never does. */
const cut = (producer: Producer<string, string, string, string>) => {
  const sockets = Array.from(producer.connections, ([, { socket }]) => socket)
  producer.close(true).catch(() => undefined)
  for (const socket of sockets) {
    // What the kernel has not sent yet goes as well, which only a plain connection can be told.
    if (socket instanceof TLSSocket) socket.destroy()
    else socket.resetAndDestroy()
  }
}

/** Asks, and fails where no answer has come after so many milliseconds. */
const within = async <A>(millis: number, request: () => Promise<A>): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${millis} ms`)), millis)
  })
  try {
    return await Promise.race([request(), silence])
  } finally {
    clearTimeout(timer)
  }
}
