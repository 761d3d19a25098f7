/** A consumer behind the inbox: event by event, and many in one transaction. Catching up with the log is among the event store's races. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { InboxGuard } from "@zakops/inbox/InboxGuard"
import { migrate } from "@zakops/migrations/Migrations"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { randomUUID } from "node:crypto"
import { times } from "../Goal.ts"
import { measured } from "../measure.ts"
import type { Contestant, Race } from "../Measurement.ts"
import { parts } from "../payload.ts"

const consumerId = "bench"

const guarded = (
  about: Omit<Contestant, "run">,
  handle: (guard: InboxGuard["Service"], ids: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>
): Contestant => ({
  ...about,
  run: (url, size) =>
    Effect.gen(function*() {
      const live = InboxGuard.layer.pipe(
        Layer.provideMerge(Layer.effectDiscard(migrate)),
        Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 }))
      )
      const services = yield* Layer.build(live)
      const ids = Array.from({ length: size }, () => randomUUID())
      const all = Effect.flatMap(InboxGuard, (guard) => handle(guard, ids))
      return { ...yield* measured(url, size, Effect.provideContext(all, services)), count: size }
    })
})

const inBatches = (guard: InboxGuard["Service"], ids: ReadonlyArray<string>, size: number) =>
  Effect.forEach(
    parts(ids.length, size),
    (part) => guard.onceForEach(consumerId, part.map((n) => ids[n] ?? ""), () => Effect.void),
    { discard: true }
  )

const batch = "zakops, batches"
const single = "one by one"

export const consumerRaces: ReadonlyArray<Race> = [{
  name: "guard a consumer by the inbox, one connection, handler does nothing",
  unit: "events/s",
  size: 20_000,
  quickSize: 2_000,
  contestants: [
    guarded(
      { name: batch, settings: "InboxGuard.onceForEach, 100 events in a transaction" },
      (guard, ids) => inBatches(guard, ids, 100)
    ),
    guarded(
      { name: "zakops, batches of 500", settings: "InboxGuard.onceForEach, 500 events in a transaction" },
      (guard, ids) => inBatches(guard, ids, 500)
    ),
    guarded(
      { name: single, settings: "InboxGuard.once, a transaction for each event", share: 0.25 },
      (guard, ids) =>
        Effect.forEach(ids, (eventId) => guard.once({ eventId, consumerId }, Effect.void), { discard: true })
    )
  ],
  goals: [times(batch, single, 5)]
}]
