/**
 * Delivers a run of entries of one ordering key, one after another: none is begun before the one in front of it was delivered.
 *
 * When one is not delivered, the rest of the run is handed back untried in the same step.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Attempt, Begun, Calling } from "./attemptDelivery.ts"
import { answered, handBack } from "./attemptDelivery.ts"
import type { ClaimedEntry } from "../claiming/OutboxEntry.ts"

export type Run = ReadonlyArray<ClaimedEntry>

/** The entry of the run that waits for an answer. */
export interface Waiting {
  readonly index: number
  readonly calling: Calling
}

export interface Doing {
  /** Begins one attempt, as `attemptDelivery` does. */
  readonly attempt: (entry: ClaimedEntry) => Effect.Effect<Begun>
  /** Is given what has come to its end, as soon as it has. */
  readonly ended: (attempts: ReadonlyArray<Attempt>) => void
}

/** Ends an attempt, and with it the rest of the run unless it was delivered. Gives whether the next one may be begun. */
export const endAttempt = (run: Run, index: number, done: Attempt, { ended }: Doing): boolean => {
  const goesOn = done.fact._tag === "Delivered"
  ended(goesOn ? [done] : [done, ...run.slice(index + 1).map((behind) => handBack(behind, false))])
  return goesOn && index + 1 < run.length
}

const over = Effect.succeed(undefined)

/**
 * Goes through the run from the entry `from` on, for as long as its attempts end at once, and gives the one that has to be waited for:
 * undefined where all has ended. Is not to be interrupted: between the call of the publisher and the wait for its answer, nothing may.
 */
export const beginRun = (run: Run, from: number, doing: Doing): Effect.Effect<Waiting | undefined> =>
  Effect.flatMap(
    doing.attempt(run[from] as ClaimedEntry),
    (begun): Effect.Effect<Waiting | undefined> =>
      !("done" in begun)
        ? Effect.succeed({ index: from, calling: begun })
        : endAttempt(run, from, begun.done, doing)
        ? beginRun(run, from + 1, doing)
        : over
  )

/** Takes the whole run through to its end, with `timeout` for each answer. */
export const attemptRun = (run: Run, timeout: Duration.Duration, doing: Doing): Effect.Effect<void> =>
  Effect.gen(function*() {
    const begin = (from: number) => Effect.uninterruptible(beginRun(run, from, doing))
    let waiting = yield* begin(0)
    while (waiting !== undefined) {
      const { calling, index }: Waiting = waiting
      const done = yield* answered(calling, timeout)
      waiting = endAttempt(run, index, done, doing) ? yield* begin(index + 1) : undefined
    }
  })

/** The entries as runs: those of a key together, in the order of seq; each without a key on its own. */
export const toRuns = (entries: ReadonlyArray<ClaimedEntry>): ReadonlyArray<Run> => {
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
