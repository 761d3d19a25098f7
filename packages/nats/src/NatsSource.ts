/**
 * Events of a stream of NATS JetStream as an `EventSource`, through a durable consumer that acknowledges each message by itself.
 *
 * In the stream's order while one process reads under a name, also after a crash: what was not acknowledged comes again when the server's
 * wait for it (`ackWait`) is over, and later messages stay behind it. Several processes share the work, and then there is no order.
 */
import { AckPolicy, DeliverPolicy, JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream"
import type { ConsumerMessages, JetStreamManager, JsMsg } from "@nats-io/jetstream"
import { nanos } from "@nats-io/nats-core"
import type { Delivery, Options as SourceOptions, Session } from "@zakops/events/BrokerSource"
import * as BrokerSource from "@zakops/events/BrokerSource"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventSource } from "@zakops/events/EventSource"
import type { SourceFailed } from "@zakops/events/EventSource"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { inWords } from "./natsErrors.ts"
import * as Connection from "./NatsConnection.ts"
import type { NatsOptions } from "./NatsOptions.ts"
import { RedeliveryGate } from "./RedeliveryGate.ts"

export interface NatsSourceOptions extends NatsOptions, SourceOptions {
  /** The name of the durable consumer, which keeps the place in the stream. Made where it is missing. No dots or spaces. */
  readonly consumer: string
  /** Only these subjects of the stream. */
  readonly subjects?: ReadonlyArray<string> | undefined
  /** Where a consumer that is made begins: with the stream's first message, or with the next. `start` unless given. */
  readonly from?: "start" | "now" | undefined
  /** How many messages at a time: 100 unless given. */
  readonly batchSize?: number | undefined
  /** After what time the server hands a message out again that nobody works on any more: 30 s unless given. */
  readonly ackWait?: Duration.Input | undefined
  /** How many messages may be unacknowledged, those set aside among them; with so many, no more come. 1000 unless given. */
  readonly maxPending?: number | undefined
}

/** The source. It connects when it is consumed. */
export const make = (options: NatsSourceOptions): EventSource =>
  BrokerSource.make(`NATS consumer ${options.consumer} of ${options.stream}`, "nats", open(options), options)

const open = Effect.fnUntraced(function*(options: NatsSourceOptions): Effect.fn.Return<
  Session,
  BrokerSource.SessionLost | SourceFailed,
  Scope.Scope
> {
  const { batchSize = 100, consumer, maxPending = 1000, stream } = options
  const ackWait = Duration.toMillis(options.ackWait ?? "30 seconds")
  const lost = (what: string) => (cause: unknown) =>
    new BrokerSource.SessionLost({ reason: `${what}: ${inWords(cause)}` })
  const arrived = yield* Queue.unbounded<JsMsg, BrokerSource.SessionLost>()
  const fail = (reason: string) => {
    Queue.failCauseUnsafe(arrived, Cause.fail(new BrokerSource.SessionLost({ reason })))
  }
  const { client, manager, stream: js } = yield* Effect.mapError(
    Connection.open(options, () => fail("the connection is closed")),
    ({ reason }) => new BrokerSource.SessionLost({ reason })
  )
  const { ack_floor: floor, delivered, num_ack_pending: left } = yield* Effect.tryPromise({
    try: () => findConsumer(manager, options, ackWait, maxPending),
    catch: lost(`the consumer ${consumer} cannot be had`)
  })

  const gate = new RedeliveryGate<JsMsg>(delivered.stream_seq, left, (message) => Queue.offerUnsafe(arrived, message))
  if (left > 0 && floor.stream_seq < delivered.stream_seq) {
    // Others may be at work on it: then it never comes here, and is acknowledged.
    yield* Effect.forkScoped(Effect.gen(function*() {
      const end = (yield* Clock.currentTimeMillis) + 2 * ackWait
      while (!gate.isOpen && (yield* Clock.currentTimeMillis) < end) {
        yield* Effect.sleep(Math.min(ackWait / 4, 1000))
        const now = yield* Effect.promise(() => manager.consumers.info(stream, consumer).catch(() => undefined))
        if (now !== undefined && now.ack_floor.stream_seq >= delivered.stream_seq) break
      }
      if (!gate.isOpen) gate.open()
    }))
  }

  /** What the server waits for. */
  const pending = new Set<JsMsg>()
  yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async (): Promise<ConsumerMessages> => {
        const handle = await js.consumers.get(stream, consumer)
        const messages = await handle.consume({
          max_messages: Math.min(maxPending, 2 * batchSize),
          abort_on_missing_resource: true,
          callback: (message) => {
            pending.add(message)
            gate.add(message)
          }
        })
        // Somebody has deleted the consumer, or the stream.
        void messages.closed().then((cause) => fail(`the consumer ${consumer} is gone: ${inWords(cause ?? "closed")}`))
        return messages
      },
      catch: lost(`the consumer ${consumer} cannot be read`)
    }),
    (messages) =>
      Effect.promise(async () => {
        await messages.close().catch(() => undefined)
        // Before anything goes back, the server has to look whom it asks: one of 2.9 forgets a message that it would give to a reader who
        // is gone, and asking for the state has it look.
        await manager.consumers.info(stream, consumer).catch(() => undefined)
        // At once and in order, instead of when the server has waited in vain.
        for (const message of pending) message.nak()
        await client.flush().catch(() => undefined)
      })
  )
  // What is being handled, or was set aside, is not given to others meanwhile.
  yield* Effect.sync(() => {
    for (const message of pending) message.working()
  }).pipe(Effect.delay(ackWait / 3), Effect.forever, Effect.forkScoped)

  const settle = (message: JsMsg, how: "ack" | "term") =>
    Effect.try({
      try: () => {
        pending.delete(message)
        message[how]()
      },
      catch: lost("it cannot be acknowledged")
    })
  const deliver = (message: JsMsg): Delivery => {
    const headers: Record<string, string> = {}
    for (const [name, values] of message.headers ?? []) headers[name.toLowerCase()] = values[0] ?? ""
    return {
      envelope: CloudEvent.fromMessage(
        { contentType: headers["content-type"], headers, body: message.data },
        CloudEvent.nats,
        { receivedAt: new Date(message.time) }
      ),
      place: `message ${message.seq} of stream ${stream}`,
      acknowledge: settle(message, "ack"),
      reject: settle(message, "term")
    }
  }
  return {
    // At least one, as the queue was asked.
    take: Effect.map(
      Queue.takeBetween(arrived, 1, batchSize),
      (messages) => Arr.map(messages as Arr.NonEmptyArray<JsMsg>, deliver)
    )
  }
})

const findConsumer = async (
  manager: JetStreamManager,
  { consumer, from = "start", stream, subjects }: NatsSourceOptions,
  ackWait: number,
  maxPending: number
) => {
  try {
    return await manager.consumers.info(stream, consumer)
  } catch (cause) {
    if (!(cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.ConsumerNotFound)) throw cause
    return await manager.consumers.add(stream, {
      durable_name: consumer,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ackWait),
      max_ack_pending: maxPending,
      deliver_policy: from === "start" ? DeliverPolicy.All : DeliverPolicy.New,
      ...subjects === undefined
        ? {}
        : subjects.length === 1
        ? { filter_subject: subjects[0] ?? ">" }
        : { filter_subjects: [...subjects] }
    })
  }
}
