/**
 * Events of a stream of Redis as an `EventSource`, through a consumer group, in which each message is one reader's until it is acknowledged.
 *
 * In the stream's order while one process reads for a group; several share the work, and then there is none. What a reader leaves behind
 * when it stops goes to the next at once; what a crashed one leaves, when nobody has touched it for `takeOverAfter`, and later messages may
 * come before it.
 */
import type { Delivery, Options as SourceOptions, Session } from "@zakops/events/BrokerSource"
import * as BrokerSource from "@zakops/events/BrokerSource"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventSource } from "@zakops/events/EventSource"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { hostname } from "node:os"
import { decodeClaimed, decodeMessages } from "./redisAnswers.ts"
import type { Message } from "./redisAnswers.ts"
import * as Connection from "./RedisConnection.ts"
import { inWords } from "./redisErrors.ts"
import type { RedisOptions } from "./RedisOptions.ts"
import { field } from "./RedisPublisher.ts"

export interface RedisSourceOptions extends RedisOptions, SourceOptions {
  /** The consumer group, which keeps the place in the stream. Made where it is missing. */
  readonly group: string
  /** Where a group that is made begins: with the stream's first message, or with the next. `start` unless given. */
  readonly from?: "start" | "now" | undefined
  /** How many messages at a time: 100 unless given. */
  readonly batchSize?: number | undefined
  /** After what time a message that nobody works on any more goes to another reader: 1 minute unless given. */
  readonly takeOverAfter?: Duration.Input | undefined
}

/** Milliseconds that a read waits for the next message at most, before it asks again. */
const longestBlock = 5000

/** The source. It connects when it is consumed. */
export const make = (options: RedisSourceOptions): EventSource => {
  // Of this source for good, so that after a lost connection it finds what it had.
  const reader = `${hostname()}-${process.pid}-${uuidV7Unsafe()}`
  return BrokerSource.make(`Redis group ${options.group} of ${options.stream}`, "redis", open(options, reader), options)
}

const open = Effect.fnUntraced(function*(options: RedisSourceOptions, reader: string): Effect.fn.Return<
  Session,
  BrokerSource.SessionLost,
  Scope.Scope
> {
  const { batchSize = 100, from = "start", group, stream } = options
  const takeOverAfter = Math.ceil(Duration.toMillis(options.takeOverAfter ?? "1 minute"))
  const block = Math.max(1, Math.min(longestBlock, Math.floor(takeOverAfter / 2)))
  const arrived = yield* Queue.unbounded<Message, BrokerSource.SessionLost>()
  const lost = (reason: string) => new BrokerSource.SessionLost({ reason })
  const fail = (reason: string) => {
    Queue.failCauseUnsafe(arrived, Cause.fail(lost(reason)))
  }
  const connect = Effect.mapError(
    Connection.open(options, () => fail("the connection is closed")),
    ({ reason }) => lost(reason)
  )
  // One waits for messages while the other tells what was done with them.
  const reading = yield* connect
  const writing = yield* connect
  const ask = (args: ReadonlyArray<string>, { send } = writing, grace = 0) =>
    Effect.tryPromise({ try: () => send(args, grace), catch: (cause) => lost(inWords(cause)) })
  const decoded = <A>(decode: (answer: unknown) => Effect.Effect<A, unknown>) => (answer: unknown) =>
    Effect.mapError(decode(answer), (cause) => lost(`Redis answers otherwise than expected: ${inWords(cause)}`))

  yield* ask(["XGROUP", "CREATE", stream, group, from === "start" ? "0" : "$", "MKSTREAM"]).pipe(
    Effect.catchIf(({ reason }) => reason.includes("BUSYGROUP"), () => Effect.void)
  )

  /** What is this reader's until it is settled. */
  const pending = new Set<string>()
  const idle = (ids: Iterable<string>, millis: number) =>
    ask(["XCLAIM", stream, group, reader, "0", ...ids, "IDLE", String(millis), "JUSTID"])
  yield* Effect.addFinalizer(() =>
    Effect.ignore(
      pending.size > 0
        // Ripe for taking over: the next reader has it at once.
        ? idle(pending, takeOverAfter)
        : ask(["XGROUP", "DELCONSUMER", stream, group, reader])
    )
  )

  /** Makes ours what nobody has touched for long. */
  const takeOver = Effect.gen(function*() {
    const taken: Array<string> = []
    let cursor = "0-0"
    do {
      const claimed = yield* Effect.flatMap(
        ask(["XAUTOCLAIM", stream, group, reader, String(takeOverAfter), cursor, "COUNT", String(batchSize), "JUSTID"]),
        decoded(decodeClaimed)
      )
      cursor = claimed.next
      taken.push(...claimed.ids)
    } while (cursor !== "0-0")
    return taken
  })

  /** Messages after `after` in our own list of what is pending; or for `>` the next that nobody has had, when they come. */
  const read = (after: string) =>
    Effect.flatMap(
      ask(
        ["XREADGROUP", "GROUP", group, reader, "COUNT", String(batchSize)]
          .concat(after === ">" ? ["BLOCK", String(block)] : [], "STREAMS", stream, after),
        reading,
        block
      ),
      decoded(decodeMessages)
    )

  const handOver = Effect.fnUntraced(function*(messages: ReadonlyArray<Message>) {
    for (const message of messages) {
      if (pending.has(message.id)) continue
      if (message.fields === null) {
        // Nobody will ever read it again.
        yield* Effect.logError(`the message ${message.id} of Redis stream ${stream} was trimmed before it was handled`)
        yield* ask(["XACK", stream, group, message.id])
        continue
      }
      pending.add(message.id)
      yield* Queue.offer(arrived, message)
    }
  })

  /** All that is ours already, in the stream's order. */
  const readOwn = Effect.gen(function*() {
    let after = "0-0"
    while (true) {
      const messages = yield* read(after)
      const last = messages.at(-1)
      if (last === undefined) return
      after = last.id
      yield* handOver(messages)
    }
  })

  const room = yield* Latch.make(true)
  yield* Effect.gen(function*() {
    yield* takeOver
    yield* readOwn
    let looked = performance.now()
    while (true) {
      yield* handOver(yield* read(">"))
      if (performance.now() - looked > takeOverAfter / 2) {
        looked = performance.now()
        if ((yield* takeOver).some((id) => !pending.has(id))) yield* readOwn
      }
      // No more is taken from the group than is asked for.
      if (pending.size >= batchSize && (yield* Queue.size(arrived)) >= batchSize) yield* room.close
      yield* room.await
    }
  }).pipe(
    Effect.catch(({ reason }) => Effect.sync(() => fail(reason))),
    Effect.forkScoped
  )

  // What is being handled, or was set aside, is not taken over by others meanwhile.
  yield* Effect.suspend(() => pending.size === 0 ? Effect.void : idle(pending, 0)).pipe(
    Effect.ignore,
    Effect.delay(takeOverAfter / 3),
    Effect.forever,
    Effect.forkScoped
  )

  // Sent at once and not waited for: one that is lost leads to a second delivery, and the session to its end.
  const settle = (id: string) =>
    Effect.sync(() => {
      pending.delete(id)
      writing.send(["XACK", stream, group, id]).catch((cause: unknown) => fail(inWords(cause)))
    })
  const deliver = ({ fields, id }: Message): Delivery => ({
    envelope: fields?.has(field) === true
      ? CloudEvent.fromStructured(fields.get(field) ?? "", { receivedAt: new Date(Number.parseInt(id, 10)) })
      : Result.fail(new CloudEvent.NotCloudEvent({ problem: `it has no field ${field}` })),
    place: `message ${id} of stream ${stream}`,
    acknowledge: settle(id),
    reject: settle(id)
  })
  return {
    // At least one, as the queue was asked.
    take: Queue.takeBetween(arrived, 1, batchSize).pipe(
      Effect.tap(() => room.open),
      Effect.map((messages) => Arr.map(messages as Arr.NonEmptyArray<Message>, deliver))
    )
  }
})
