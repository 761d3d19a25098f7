/**
 * Events of topics of Kafka as an `EventSource`, through a consumer group, which gives each partition to one reader at a time.
 *
 * In the order of each partition, and so of each ordering key, also with several readers. The group's place in a partition moves behind a
 * message when that and all before it are handled: one that is set aside keeps it where it is, and after a crash those behind come again.
 * While a partition changes hands its last messages may be handled by both readers: put `InboxGuard` behind it.
 */
import type { Message } from "@platformatic/kafka"
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes } from "@platformatic/kafka"
import type { Delivery, Options as SourceOptions, Session } from "@zakops/events/BrokerSource"
import * as BrokerSource from "@zakops/events/BrokerSource"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventSource } from "@zakops/events/EventSource"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { inWords } from "./kafkaErrors.ts"
import type { KafkaOptions } from "./KafkaOptions.ts"
import { clientOptions } from "./KafkaOptions.ts"
import { Progress } from "./Progress.ts"

export interface KafkaSourceOptions extends KafkaOptions, SourceOptions {
  /** The consumer group, which keeps the place in each partition. */
  readonly group: string
  readonly topics: readonly [string, ...ReadonlyArray<string>]
  /** Where a group begins that has no place yet: with the first message that is there, or with the next. `start` unless given. */
  readonly from?: "start" | "now" | undefined
  /** How many messages at a time: 100 unless given. */
  readonly batchSize?: number | undefined
  /** After what time without a sign of life the partitions of a reader go to the others: 30 s unless given. */
  readonly sessionTimeout?: Duration.Input | undefined
}

/** The source. It connects when it is consumed. */
export const make = (options: KafkaSourceOptions): EventSource =>
  BrokerSource.make(`Kafka group ${options.group} of ${options.topics.join(", ")}`, "kafka", open(options), options)

const open = Effect.fnUntraced(function*(options: KafkaSourceOptions): Effect.fn.Return<
  Session,
  BrokerSource.SessionLost,
  Scope.Scope
> {
  const { batchSize = 100, from = "start", group, topics } = options
  const common = clientOptions(options)
  const sessionTimeout = Duration.toMillis(options.sessionTimeout ?? "30 seconds")
  const arrived = yield* Queue.unbounded<Message, BrokerSource.SessionLost>()
  const lost = (what: string) => (cause: unknown) =>
    new BrokerSource.SessionLost({ reason: `${what}: ${inWords(cause)}` })
  const fail = (cause: unknown) => {
    Queue.failCauseUnsafe(arrived, Cause.fail(lost("Kafka cannot be read")(cause)))
  }

  const consumer = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new Consumer({
        ...common,
        groupId: group,
        sessionTimeout,
        rebalanceTimeout: sessionTimeout,
        heartbeatInterval: Math.min(3000, Math.ceil(sessionTimeout / 10)),
        // Who joins a group is answered when its members have come, or are given up.
        requestTimeout: Math.max(common.requestTimeout, sessionTimeout + 5000),
        autocommit: false,
        maxWaitTime: 1000,
        highWaterMark: batchSize,
        retries: 3,
        retryDelay: 200
      })
    ),
    (consumer) => Effect.promise(() => consumer.close(true).catch(() => undefined))
  )
  const progress = new Progress<Message>()
  const commits = new Set<Promise<unknown>>()
  // What was handed out before belongs to somebody else now, or comes again from the group's place.
  consumer.on("consumer:group:rebalance", () => progress.clear())

  const stream = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        consumer.consume({
          topics: [...topics],
          mode: MessagesStreamModes.COMMITTED,
          fallbackMode: from === "start" ? MessagesStreamFallbackModes.EARLIEST : MessagesStreamFallbackModes.LATEST
        }),
      catch: lost(`the group ${group} cannot be joined`)
    }),
    (stream) =>
      Effect.promise(async () => {
        stream.removeAllListeners("data")
        await Promise.allSettled(commits)
        await stream.close().catch(() => undefined)
      })
  )
  stream.on("error", fail).on("close", () => fail(new Error("the stream is closed")))
  stream.on("data", (message: Message) => {
    Queue.offerUnsafe(arrived, message)
    if (Queue.sizeUnsafe(arrived) >= 2 * batchSize) stream.pause()
  })

  // Not waited for: one that is lost leads to a second delivery, and the session to its end.
  const moveOn = (message: Message) => {
    const committed = Promise.resolve(message.commit()).catch(fail)
    commits.add(committed)
    void committed.finally(() => commits.delete(committed))
  }
  const deliver = (message: Message): Delivery => {
    const headers: Record<string, string> = {}
    for (const [name, value] of message.headers) headers[String(name).toLowerCase()] = String(value)
    const { offset, partition, topic } = message
    const handled = progress.begin(message)
    const settle = Effect.sync(() => {
      const last = handled()
      if (last !== undefined) moveOn(last)
    })
    return {
      envelope: CloudEvent.fromMessage(
        { contentType: headers["content-type"], headers, body: message.value ?? new Uint8Array() },
        CloudEvent.kafka,
        { receivedAt: new Date(Number(message.timestamp)) }
      ),
      place: `message ${offset} of partition ${partition} of topic ${topic}`,
      acknowledge: settle,
      reject: settle
    }
  }
  return {
    // At least one, as the queue was asked.
    take: Queue.takeBetween(arrived, 1, batchSize).pipe(
      Effect.map((messages) => {
        if (stream.isPaused() && Queue.sizeUnsafe(arrived) < batchSize) stream.resume()
        return Arr.map(messages as Arr.NonEmptyArray<Message>, deliver)
      })
    )
  }
})
