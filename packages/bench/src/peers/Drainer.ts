/** What a contestant of a race to empty a queue can do. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { analyze, measured } from "../measure.ts"
import type { Contestant } from "../Measurement.ts"

export interface Drainer {
  /** Puts so many events in, in whatever way is the fastest. */
  readonly fill: (count: number) => Effect.Effect<unknown, unknown, Scope.Scope>
  /** Starts delivering to a handler that does nothing, and ends when the database knows that all of them are done. */
  readonly drain: (count: number) => Effect.Effect<unknown, unknown, Scope.Scope>
  /**
   * Dies where something is left: for when the clock has stopped, where `drain` ends with the worker that has stopped by itself. To look
   * meanwhile takes as long as delivering a tenth of them: a new connection goes through the dead versions of all.
   */
  readonly check?: Effect.Effect<void>
}

export type Open = (url: string) => Effect.Effect<Drainer, unknown, Scope.Scope>

/** A contestant that has `size` events waiting, with the statistics that an autovacuum would have made, and delivers them. */
export const draining = (about: Omit<Contestant, "run">, open: Open): Contestant => ({
  ...about,
  run: (url, size) =>
    Effect.gen(function*() {
      const { check = Effect.void, drain, fill } = yield* open(url)
      yield* fill(size)
      yield* analyze(url)
      const sample = yield* measured(url, size, drain(size))
      yield* check
      return { ...sample, count: size }
    })
})

/** Counts calls, and tells when there were enough. */
export const countUntil = () => {
  let count = 0
  let target = Infinity
  let reach = () => {}
  return {
    hit: (by = 1) => {
      count += by
      if (count >= target) reach()
    },
    until: (enough: number): Effect.Effect<void> =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          target = enough
          reach = resolve
          if (count >= target) resolve()
        })
      )
  }
}
