/**
 * What is measured, by whom, and how the figures are told: rounds of all contestants in turn, each on a database of its own, so that
 * whatever else the machine does meets all of them alike. Only the ratios within one run mean anything.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Contestant {
  readonly name: string
  /** Which settings it runs with, and what it does that the others do not. */
  readonly settings: string
  /** Not a peer but what the server allows at best, for less work than that of the race: the goal does not go by it. */
  readonly bound?: boolean
  /** Does the work on an empty database, and gives operations per second. What it sets up is gone with the scope. */
  readonly run: (databaseUrl: string, size: number) => Effect.Effect<number, unknown, Scope.Scope>
}

export interface Race {
  readonly name: string
  readonly unit: string
  /** How much work for one run: of the whole bench, and with `--quick`. */
  readonly size: number
  readonly quickSize: number
  /** Ours comes first. */
  readonly contestants: readonly [Contestant, ...ReadonlyArray<Contestant>]
  /** What the median of ours is to be, as a multiple of each peer's; 0 where the two are only to be known. */
  readonly goal: number
}

export interface Result {
  readonly race: string
  readonly unit: string
  readonly contestant: string
  readonly settings: string
  readonly bound: boolean
  /** Operations per second, one for each round. */
  readonly rates: ReadonlyArray<number>
  readonly median: number
  /** Ours by this one; 1 for ours. */
  readonly ratio: number
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)] ?? NaN
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

export const toResults = (race: Race, rates: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<Result> => {
  const ours = median(rates[0] ?? [])
  return race.contestants.map((contestant, index) => {
    const own = rates[index] ?? []
    return {
      race: race.name,
      unit: race.unit,
      contestant: contestant.name,
      settings: contestant.settings,
      bound: contestant.bound ?? false,
      rates: own,
      median: median(own),
      ratio: ours / median(own)
    }
  })
}
