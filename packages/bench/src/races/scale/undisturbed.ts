/** Draining where the dead have not been taken away: after a large delivery without vacuum, and while somebody holds an old snapshot. */
import { OutboxProcessor } from "@zakops/outbox/OutboxProcessor"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Client } from "pg"
import { times } from "../../Goal.ts"
import { analyze, connect, measured, mustHold } from "../../measure.ts"
import type { Contestant, Race } from "../../Measurement.ts"
import { deliverUntil, emitMany, nothingLeft } from "../../ours/drain.ts"
import { layerExternal, ours, takesAll } from "../../ours/services.ts"
import { countUntil } from "../../peers/Drainer.ts"

/** How many were delivered just before, for each one that is measured. */
const before = 3

const disturbed = (name: string, settings: string, disturb: (client: Client) => Promise<unknown>): Contestant => ({
  name,
  settings,
  run: (url, size) =>
    Effect.gen(function*() {
      const calls = countUntil()
      const services = yield* ours(url, {
        publisher: layerExternal(takesAll(calls.hit)),
        settings: { batchSize: 1000 }
      })
      const client = yield* connect(url)
      yield* Effect.promise(() => disturb(client))
      const processor = Context.get(services, OutboxProcessor)
      if (disturb !== nothing) {
        yield* Effect.provideContext(emitMany(size * before), services)
        yield* processor.drain
      }
      const already = disturb === nothing ? 0 : size * before
      yield* Effect.provideContext(emitMany(size), services)
      yield* analyze(url)
      const sample = yield* measured(url, size, deliverUntil(processor, calls.until(already + size)))
      yield* Effect.promise(() => client.query("ROLLBACK"))
      yield* mustHold(url, nothingLeft)
      // The dead of what was delivered before are counted with the others.
      return { ...sample, count: already + size }
    })
})

const nothing = (client: Client) => client.query("SELECT 1")
const noVacuum = (client: Client) => client.query("ALTER TABLE zakops.outbox SET (autovacuum_enabled = false)")
const oldSnapshot = async (client: Client) => {
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
  await client.query("SELECT count(*) FROM zakops.outbox")
}

const undisturbed = "zakops, undisturbed"

export const undisturbedRaces: ReadonlyArray<Race> = [{
  name: "drain among the dead",
  unit: "events/s",
  size: 50_000,
  quickSize: 5_000,
  contestants: [
    disturbed(undisturbed, "external publisher, OUTBOX_BATCH_SIZE 1000, a new table", nothing),
    disturbed("not vacuumed", `${before} times as many delivered just before, autovacuum off`, noVacuum),
    disturbed(
      "old snapshot",
      `as many delivered just before, while a transaction holds a snapshot from the beginning`,
      oldSnapshot
    )
  ],
  goals: [times("not vacuumed", undisturbed, 0.7), times("old snapshot", undisturbed, 0.7)]
}]
