/**
 * Delivers a run of entries of one ordering key, one after another: none is begun before the one in front of it was delivered.
 *
 * When one is not delivered, the rest of the run is handed back untried in the same step.
 */
import * as Effect from "effect/Effect"
import type { Attempt } from "./attemptDelivery.ts"
import { handBack } from "./attemptDelivery.ts"
import type { ClaimedEntry } from "../claiming/OutboxEntry.ts"

/**
 * @param attempt one attempt, as `attemptDelivery` gives it
 * @param ended   is given what has come to its end, as soon as it has
 */
export const attemptRun = <E, R>(
  run: ReadonlyArray<ClaimedEntry>,
  attempt: (entry: ClaimedEntry) => Effect.Effect<Attempt, E, R>,
  ended: (attempts: ReadonlyArray<Attempt>) => Effect.Effect<unknown>
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    for (const [index, entry] of run.entries()) {
      const done = yield* attempt(entry)
      if (done.fact._tag !== "Delivered") {
        yield* ended([done, ...run.slice(index + 1).map((behind) => handBack(behind, false))])
        return
      }
      yield* ended([done])
    }
  })

/** The entries as runs: those of a key together, in the order of seq; each without a key on its own. */
export const toRuns = (entries: ReadonlyArray<ClaimedEntry>): ReadonlyArray<ReadonlyArray<ClaimedEntry>> => {
  const runs: Array<Array<ClaimedEntry>> = []
  const byKey = new Map<string, Array<ClaimedEntry>>()
  for (const entry of entries) {
    const run = entry.orderingKey === null ? undefined : byKey.get(entry.orderingKey)
    if (run !== undefined) run.push(entry)
    else {
      const begun = [entry]
      runs.push(begun)
      if (entry.orderingKey !== null) byKey.set(entry.orderingKey, begun)
    }
  }
  for (const run of byKey.values()) run.sort((a, b) => a.seq - b.seq)
  return runs
}
