/**
 * Takes events from any source through the inbox to typed handlers, one for each event definition.
 *
 * One event after another in the source's order, each in a transaction with its inbox row. A handler that fails or dies is tried again,
 * and holds the events behind it up meanwhile: none is passed over. It may say when (`RetryAfter`). An event that is newer than this build is set aside until a build
 * that knows it runs; one that cannot be decoded stops the consumer with its id named. Where there is a tracer, each try is a span in the
 * trace of whoever emitted the event.
 */
import { NewerThanThisBuild } from "@zakops/events/EventDefinition"
import type { AnyEventDefinition, Payload, ReadEvent, Services, UndecodableEvent } from "@zakops/events/EventDefinition"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { EventSource, SourceFailed } from "@zakops/events/EventSource"
import { SetAside } from "@zakops/events/EventSource"
import { withOperation } from "@zakops/events/MessageOperation"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SqlError } from "effect/sql/SqlError"
import type { InvalidDelivery } from "./InboxGuard.ts"
import { InboxGuard } from "./InboxGuard.ts"
import { RetryAfter } from "./RetryAfter.ts"

/** What handles the events of one type. */
export interface Handler<out E = never, out R = never> {
  readonly type: string
  readonly handle: (envelope: EventEnvelope) => Effect.Effect<void, E | NewerThanThisBuild | UndecodableEvent, R>
}

/** Handles events of `definition`: decoded, upcast, typed. */
export const on = <D extends AnyEventDefinition, E, R>(
  definition: D,
  handle: (event: ReadEvent<Payload<D>>) => Effect.Effect<unknown, E, R>
): Handler<E, R | Services<D>> => ({
  type: definition.type,
  handle: (envelope) =>
    Effect.asVoid(Effect.flatMap(
      definition.decode(envelope) as Effect.Effect<
        ReadEvent<Payload<D>>,
        NewerThanThisBuild | UndecodableEvent,
        Services<D>
      >,
      handle
    ))
})

/** The error type of a list of handlers. */
type ErrorOf<H> = H extends Handler<infer E, infer _R> ? E : never
type ServicesOf<H> = H extends Handler<infer _E, infer R> ? R : never

/** Tries again for as long as it takes, after 1 s at first, at most every minute. */
export const patiently: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("1 second"),
  Schedule.spaced("1 minute")
])

const undecodable = (error: unknown): error is NewerThanThisBuild | UndecodableEvent | InvalidDelivery => {
  const tag = (error as { readonly _tag?: unknown })?._tag
  return tag === "NewerThanThisBuild" || tag === "UndecodableEvent" || tag === "InvalidDelivery"
}

/** The schedule, with the wait that a handler has asked for (`RetryAfter`) in place of its own. */
const asAsked = <E>(retry: Schedule.Schedule<unknown>): Schedule.Schedule<unknown, Cause.Cause<E>> =>
  Schedule.modifyDelay(
    retry,
    ({ duration, input }: Schedule.Metadata<unknown, Cause.Cause<E>>) => {
      const error = Cause.squash(input)
      return Effect.succeed(error instanceof RetryAfter ? Duration.max(error.duration, Duration.zero) : duration)
    }
  )

/**
 * Runs until interrupted. Events of types without a handler are passed over. Fails with an event that cannot be decoded at all, with a
 * source that cannot be read, and with a handler's error once `retry` is exhausted (`patiently` never is).
 *
 * @param consumerId at most 100 characters; the inbox remembers under this name what was handled, so keep it
 */
export const run = <const H extends ReadonlyArray<Handler<unknown, unknown>>>(options: {
  readonly consumerId: string
  readonly source: EventSource
  readonly handlers: H
  readonly retry?: Schedule.Schedule<unknown> | undefined
}): Effect.Effect<
  never,
  Exclude<ErrorOf<H[number]>, NewerThanThisBuild> | UndecodableEvent | InvalidDelivery | SqlError | SourceFailed,
  ServicesOf<H[number]> | InboxGuard
> =>
  Effect.gen(function*() {
    type E = ErrorOf<H[number]>
    type R = ServicesOf<H[number]>
    const { consumerId, retry = patiently, source } = options
    const guard = yield* InboxGuard
    const given = options.handlers as ReadonlyArray<Handler<E, R>>
    const handlers = new Map(given.map((handler) => [handler.type, handler]))
    const processing = { name: "process", destination: source.name, system: source.system, group: consumerId } as const
    const twice = given.find(({ type }, index) => given.findIndex((other) => other.type === type) < index)
    if (twice !== undefined) throw new TypeError(`consumer ${consumerId} has two handlers of ${twice.type}`)

    const handleOne = (envelope: EventEnvelope) => {
      const handler = handlers.get(envelope.eventType)
      if (handler === undefined) return Effect.void
      return Effect.asVoid(
        withOperation(
          processing,
          [envelope],
          guard.once({ eventId: envelope.id, consumerId }, handler.handle(envelope))
        ).pipe(
          // A defect is tried again as well: it must not end the consumer unseen.
          Effect.sandbox,
          Effect.tapError((cause) =>
            Cause.squash(cause) instanceof NewerThanThisBuild ?
              Effect.void :
              Effect.logWarning(
                `consumer ${consumerId} failed on event ${envelope.id} (${envelope.eventType})`,
                cause
              )
          ),
          Effect.retry({
            schedule: asAsked(retry),
            // An interruption of this very fiber does not come by here; one that the handler has met with elsewhere is its failure.
            while: (cause) => !undecodable(Cause.squash(cause))
          }),
          Effect.catch(Effect.failCause),
          Effect.catchIf(
            (error): error is NewerThanThisBuild => error instanceof NewerThanThisBuild,
            (newer) => new SetAside({ eventId: envelope.id, reason: "newer", error: newer.message })
          )
        )
      )
    }

    return yield* source.consume((batch) => Effect.forEach(batch, handleOne, { discard: true }))
  })
