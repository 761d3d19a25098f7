/**
 * Delivers events to a stream of Redis, one XADD each, acknowledged by the server before it counts as delivered.
 *
 * A message has the one field `event`, a CloudEvent as JSON. Many are on their way at the same time, in one pipeline; those of one ordering
 * key one after another, as the outbox calls. Redis knows no duplicates: consumers tell them by the event's id.
 */
import * as CloudEvent from "@zakops/events/CloudEvent"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { EventPublisher, Permanent } from "@zakops/events/EventPublisher"
import * as SharedConnection from "@zakops/events/SharedConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Connection from "./RedisConnection.ts"
import { classify } from "./redisErrors.ts"
import type { RedisOptions, Trim } from "./RedisOptions.ts"

export interface RedisPublisherOptions extends RedisOptions {
  /** What the stream keeps. */
  readonly trim: Trim
}

/** The field that holds the event. */
export const field = "event"

/** The largest value that the server takes, in bytes, where it does not say. */
const usualLimit = 512 * 1024 * 1024

/** The words between the key and the id that have Redis drop what is old. */
const trimmingOf = (trim: Trim): () => ReadonlyArray<string> => {
  if (trim === "never") return () => []
  if ("maxLength" in trim) {
    const words = ["MAXLEN", "~", String(trim.maxLength)]
    return () => words
  }
  const age = Duration.toMillis(trim.maxAge)
  // An id begins with the server's time in milliseconds, which is near enough to ours.
  return () => ["MINID", "~", String(Math.max(0, Date.now() - age))]
}

/** Connects when the first event comes, also while the server is away. Closes with the scope. */
export const make = Effect.fnUntraced(function*(
  options: RedisPublisherOptions
): Effect.fn.Return<External, never, Scope.Scope> {
  const { stream } = options
  const trimming = trimmingOf(options.trim)
  const connection = yield* SharedConnection.make((lost) =>
    Effect.gen(function*() {
      const { send } = yield* Connection.open(options, lost)
      // An argument that is longer costs the connection, and with it all that is on its way beside it.
      const limit = yield* Effect.tryPromise(() => send(["CONFIG", "GET", "proto-max-bulk-len"])).pipe(
        Effect.flatMap(decodeLimit),
        Effect.map(([, value]) => Number(value)),
        // Not everybody may ask.
        Effect.orElseSucceed(() => usualLimit)
      )
      return { send, limit }
    })
  )

  const publish = (envelope: EventEnvelope): Effect.Effect<void, PublishError> =>
    Effect.flatMap(connection.get, ({ limit, send }) => {
      const event = CloudEvent.toStructured(envelope, options)
      // Three bytes at most for each unit of text.
      if (event.length * 3 > limit && Buffer.byteLength(event) > limit) {
        return new Permanent({ reason: `Redis takes at most ${limit} bytes, and the event is larger` })
      }
      return Effect.callback<void, PublishError>((resume) => {
        send(["XADD", stream, ...trimming(), "*", field, event]).then(
          () => resume(Effect.void),
          (cause: unknown) => resume(Effect.fail(classify(cause)))
        )
      })
    })

  return { _tag: "External", destination: `Redis stream ${stream}`, system: "redis", publish }
})

const decodeLimit = Schema.decodeUnknownEffect(Schema.Tuple([Schema.String, Schema.String]))

/** The publisher as a layer. */
export const layer = (options: RedisPublisherOptions): Layer.Layer<EventPublisher> =>
  Layer.effect(EventPublisher, make(options))
