/**
 * Delivers events to a stream of NATS JetStream, each acknowledged by the stream before it counts as delivered.
 *
 * The event's id is the message's `Nats-Msg-Id`: the stream drops a second one within its duplicate window (2 minutes unless it was made
 * otherwise), and after that it is the consumer's to see. Messages are CloudEvents. Many are on their way at the same time; those of one
 * ordering key one after another, as the outbox calls.
 */
import { headers as makeHeaders } from "@nats-io/nats-core"
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { EventPublisher, Transient, TransportDown } from "@zakops/events/EventPublisher"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { classify, inWords, isUntaken } from "./natsErrors.ts"
import type { NatsConnection } from "./NatsConnection.ts"
import * as Connection from "./NatsConnection.ts"
import type { NatsOptions } from "./NatsOptions.ts"
import { defaultPrefix, subjectOf } from "./NatsOptions.ts"

/** Connects when the first event comes, also while the server is away. Closes with the scope. */
export const make = Effect.fnUntraced(function*(
  options: NatsOptions
): Effect.fn.Return<External, never, Scope.Scope> {
  const { mode = "structured", stream, subjectPrefix = defaultPrefix } = options
  const connection = yield* Connection.make(options)
  const timeout = Connection.timeoutOf(options)
  const toSubject = options.subject ?? (({ eventType }) => subjectOf(subjectPrefix, eventType))
  const expect = { streamName: stream }

  const send = (envelope: EventEnvelope, subject: string, { stream }: NatsConnection) => {
    const headers = makeHeaders()
    if (mode === "structured") {
      headers.set(contentType, CloudEvent.structuredType)
      return stream.publish(subject, CloudEvent.toStructured(envelope, options), {
        headers,
        msgID: envelope.id,
        expect,
        timeout
      })
    }
    const message = CloudEvent.toBinary(envelope, CloudEvent.nats, options)
    headers.set(contentType, message.contentType)
    for (const name in message.headers) headers.set(name, message.headers[name] ?? "")
    return stream.publish(subject, message.body, { headers, msgID: envelope.id, expect, timeout })
  }

  /** Why nobody took a message: the stream is away, or it has no such subject. */
  const untaken = (subject: string, { drop, manager }: NatsConnection) =>
    Effect.matchEffect(Effect.tryPromise(() => manager.streams.info(stream)), {
      onFailure: (why) =>
        Effect.andThen(
          // The next connection looks for the stream, and makes it if it may.
          drop,
          new TransportDown({ reason: `NATS has no stream ${stream} at the moment: ${inWords(why)}` })
        ),
      onSuccess: () => new Transient({ reason: `no stream of NATS takes the subject ${subject}` })
    })

  const publish = (envelope: EventEnvelope): Effect.Effect<void, PublishError> =>
    Effect.flatMap(connection.get, (open) => {
      const subject = toSubject(envelope)
      return Effect.catch(
        Effect.tryPromise(() => send(envelope, subject, open)),
        ({ cause }) => isUntaken(cause) ? untaken(subject, open) : Effect.fail(classify(cause))
      )
    })

  return { _tag: "External", destination: `NATS stream ${stream}`, system: "nats", publish }
})

const contentType = "content-type"

/** The publisher as a layer. */
export const layer = (options: NatsOptions): Layer.Layer<EventPublisher> => Layer.effect(EventPublisher, make(options))
