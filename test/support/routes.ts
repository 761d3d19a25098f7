/** Destinations of routes that a test steers, as `FakePublisher` is the main one. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import * as Effect from "effect/Effect"

export interface FakeRoute {
  readonly to: External
  /** What was published, in the order of the calls, failed ones included. */
  readonly calls: Array<EventEnvelope>
  /** What has arrived, in the order of the calls. */
  readonly arrived: Array<EventEnvelope>
  /** What a call does; succeeds at once unless set. */
  respond: (envelope: EventEnvelope) => Effect.Effect<void, PublishError>
  readonly reset: () => void
}

export const fakeRoute = (destination: string): FakeRoute => {
  const fake: FakeRoute = {
    to: {
      _tag: "External",
      destination,
      publish: (envelope) =>
        Effect.suspend(() => {
          fake.calls.push(envelope)
          return Effect.tap(fake.respond(envelope), () => Effect.sync(() => fake.arrived.push(envelope)))
        })
    },
    calls: [],
    arrived: [],
    respond: () => Effect.void,
    reset: () => {
      fake.calls.length = 0
      fake.arrived.length = 0
      fake.respond = () => Effect.void
    }
  }
  return fake
}

/** For each ordering key, whether what arrived stands in the order of `sequence`. */
export const isInOrder = (arrived: ReadonlyArray<EventEnvelope>): boolean => {
  const last = new Map<string | null, bigint>()
  return arrived.every(({ orderingKey, sequence }) => {
    const [now, before] = [BigInt(sequence ?? 0), last.get(orderingKey) ?? -1n]
    last.set(orderingKey, now)
    return orderingKey === null || now > before
  })
}
