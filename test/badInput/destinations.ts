/** Both kinds of destination, asked the same: has the event arrived, and can those who read from there read it? */
import * as EventLog from "@zakops/event-store/EventLog"
import { readLog } from "@zakops/event-store/readLog"
import type { Cursor } from "@zakops/event-store/Cursor"
import type { EventEnvelope } from "@zakops/events/EventEnvelope"
import * as Database from "@zakops/migrations/Database"
import { RetryPolicy } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { FakePublisher } from "../support/FakePublisher.ts"
import { eventually, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

// What failed is tried again at once, so that a drain sees it through.
const atOnce = Layer.succeed(RetryPolicy, Schedule.spaced("0 millis"))
const over = services().pipe(Layer.provide(atOnce))

export const layerToLog = over.pipe(
  Layer.provideMerge(EventLog.layerPublisher),
  Layer.provideMerge(TestDatabase.layer)
)
export const layerToPublisher = over.pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer)
)

/** Reads what surrounds the data as one that sends it on would: throws where it is not what the envelope's type says. */
const readThrough = (envelope: EventEnvelope) =>
  JSON.stringify({ ...envelope, data: null, createdAt: envelope.createdAt.toISOString() })

/** The ids that have arrived since it was last asked. */
export type Arrived = Effect.Effect<ReadonlySet<string>, unknown>

/** What subscriptions read of the log. */
export const arrivedInLog = Effect.gen(function*() {
  const read = readLog(yield* Database.make)
  let at: Cursor = { xid: "0", position: 0n }
  const arrived = Effect.gen(function*() {
    const ids = new Set<string>()
    while (true) {
      const page = yield* read(at, 1000)
      for (const { envelope } of page.events) {
        readThrough(envelope)
        ids.add(envelope.id)
      }
      if (page.end === undefined) return ids
      at = page.end
    }
  })
  return arrived
})

/** What the publisher was called with, each of which could be sent on as JSON. */
export const arrivedAtPublisher = Effect.map(FakePublisher, (fake) =>
  Effect.sync(() => {
    const calls = fake.calls.splice(0)
    for (const envelope of calls) readThrough(envelope)
    return new Set(calls.map(({ id }) => id))
  }))

/** Waits until all of `ids` have arrived: an older transaction of another database on the server may hold the log's readers back. */
export const awaitArrival = Effect.fnUntraced(function*(arrived: Arrived, ids: ReadonlyArray<string>) {
  const seen = new Set<string>()
  yield* eventually(Effect.map(arrived, (more) => {
    for (const id of more) seen.add(id)
    return ids.every((id) => seen.has(id))
  }))
})
