/** Takes one batch of what goes to an external publisher through to the end: what is due, or else the one that has to be delivered alone. */
import * as Effect from "effect/Effect"
import type { ClaimedEntry } from "../claiming/OutboxEntry.ts"
import type { Attempt } from "./attemptDelivery.ts"
import { attemptRun, toRuns } from "./attemptRun.ts"
import type { ExternalMeans } from "./externalMeans.ts"
import { handBackUnended } from "./externalMeans.ts"
import { HeldEntries } from "./HeldEntries.ts"
import { settleAttempts } from "./settleAttempts.ts"

export const deliverBatch = (
  { attemptHeld, capacityBeside, claiming, db, destination, lane, settings, suspect, take, tidy }: ExternalMeans
) => {
  const { batchSize, concurrency, lease, publishTimeout } = settings
  const settle = settleAttempts(db, destination, lane, (statement) => statement)
  return Effect.gen(function*() {
    const held = new HeldEntries(lease)
    const attempts: Array<Attempt> = []
    const { dead } = yield* tidy.now
    const entries: Array<ClaimedEntry> = []
    const keep = claiming(held, (claimed) => Effect.sync(() => entries.push(...claimed)))
    const work = Effect.gen(function*() {
      const { more } = yield* take(capacityBeside(held, "everywhere"), batchSize, keep)
      if (entries.length === 0) yield* keep(yield* suspect)
      yield* Effect.forEach(
        toRuns(entries),
        (run) =>
          attemptRun(run, publishTimeout, {
            attempt: (entry) => attemptHeld(held, entry),
            ended: (ended) => {
              held.ended(ended)
              attempts.push(...ended)
            }
          }),
        { concurrency, discard: true }
      )
      return more
    })
    // What has ended is settled, and what has not goes back, whoever interrupts.
    const more = yield* Effect.onInterrupt(
      work,
      () => Effect.ignore(Effect.suspend(() => settle([...attempts, ...handBackUnended(held)])))
    )
    const counts = yield* settle(attempts)
    return {
      counts: { ...counts, dead: counts.dead + dead },
      more: more || entries.length > 0,
      down: attempts.some(({ heard }) => heard._tag === "Down")
    }
  })
}
