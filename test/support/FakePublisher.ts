/** An external destination that a test steers: what it says to each call, and a record of what it was given. */
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import type { External, PublishError } from "@zakops/events/EventPublisher"
import { EventPublisher } from "@zakops/events/EventPublisher"
import { OutboxProcessor } from "@zakops/outbox"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { emptyTables } from "./outbox.ts"

export class FakePublisher extends Context.Service<FakePublisher, {
  /** What was published, in the order of the calls, failed ones included. */
  readonly calls: Array<EventEnvelope>
  /** What a call does; succeeds at once unless set. */
  respond: (envelope: EventEnvelope) => Effect.Effect<void, PublishError>
}>()("@zakops/test/FakePublisher") {
  static readonly layer = Layer.effect(
    EventPublisher,
    Effect.map(FakePublisher, (fake): External => ({
      _tag: "External",
      destination: "the test's destination",
      system: "fake",
      publish: (envelope) =>
        Effect.suspend(() => {
          fake.calls.push(envelope)
          return fake.respond(envelope)
        })
    }))
  ).pipe(
    Layer.provideMerge(Layer.sync(FakePublisher, () => ({ calls: [], respond: () => Effect.void })))
  )
}

/** Empty tables, a destination that takes everything, and the processor that delivers to it. */
export const startAfresh = Effect.gen(function*() {
  yield* emptyTables
  const fake = yield* FakePublisher
  fake.calls.length = 0
  fake.respond = () => Effect.void
  return { fake, ...(yield* OutboxProcessor) }
})
