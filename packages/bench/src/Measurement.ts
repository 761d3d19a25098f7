/**
 * What is measured, by whom, and how the figures are told: rounds of all contestants in turn, each on a database of its own, so that
 * whatever else the machine does meets all of them alike. Only the ratios within one run mean anything.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Goal } from "./Goal.ts"

/** What one run of a contestant gave. */
export interface Sample {
  /** In the race's unit. */
  readonly value: number
  /** How many events, transactions or entries it did: what the figures of the whole database are divided by. */
  readonly count?: number
  /** What else was measured, by what it is called: bytes of WAL for each event, say. */
  readonly figures?: Readonly<Record<string, number>>
}

export interface Contestant {
  readonly name: string
  /** Which settings it runs with, and what it does that the others do not. */
  readonly settings: string
  /** Not a peer but what the server allows at best, for less work than that of the race: no goal goes by it unless it names it. */
  readonly bound?: boolean
  /** How much of the race's work it does, where it is so slow that all of it would take minutes: told with its settings. */
  readonly share?: number
  /** Does the work on an empty database. What it sets up is gone with the scope. A plain number is the value. */
  readonly run: (databaseUrl: string, size: number) => Effect.Effect<number | Sample, unknown, Scope.Scope>
}

export interface Race {
  readonly name: string
  readonly unit: string
  /** How much work for one run: of the whole bench, and with `--quick`. */
  readonly size: number
  readonly quickSize: number
  /** Ours comes first. */
  readonly contestants: readonly [Contestant, ...ReadonlyArray<Contestant>]
  readonly goals: ReadonlyArray<Goal>
  /** `less` where a smaller value is the better one: a latency, say. */
  readonly better?: "more" | "less"
}

export interface Result {
  readonly contestant: string
  readonly settings: string
  readonly bound: boolean
  /** One for each round. */
  readonly values: ReadonlyArray<number>
  readonly median: number
  /** Ours by this one, or this one by ours where less is better: above 1 ours is ahead. 1 for ours. */
  readonly ratio: number
  /** Medians of what else was measured. */
  readonly figures: Readonly<Record<string, number>>
}

/** The race with ours and those whose names contain `name`, and the goals that need nobody else. */
export const narrowed = (race: Race, name: string): Race => {
  const [ours, ...others] = race.contestants
  const left = others.filter((contestant) => contestant.name.includes(name) || contestant.name.startsWith(ours.name))
  const names = new Set([ours, ...left].map(({ name }) => name))
  return {
    ...race,
    contestants: [ours, ...left],
    goals: race.goals.filter(({ needs }) => needs.every((who) => names.has(who)))
  }
}

/** A race that was run. */
export interface Ran {
  readonly race: Race
  /** How much work each run was. */
  readonly size: number
  readonly results: ReadonlyArray<Result>
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)] ?? NaN
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

/** The value below which a share of them lies: `percentile(latencies, 0.99)`. */
export const percentile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

const figuresOf = (samples: ReadonlyArray<Sample>): Readonly<Record<string, number>> => {
  const names = [...new Set(samples.flatMap(({ figures = {} }) => Object.keys(figures)))]
  return Object.fromEntries(
    names.map((name) => [name, median(samples.flatMap(({ figures }) => figures?.[name] ?? []))])
  )
}

/** @param samples of each contestant, those of its rounds */
export const toResults = (race: Race, samples: ReadonlyArray<ReadonlyArray<Sample>>): ReadonlyArray<Result> => {
  const medianOf = (index: number) => median((samples[index] ?? []).map(({ value }) => value))
  const ours = medianOf(0)
  return race.contestants.map((contestant, index) => {
    const own = medianOf(index)
    return {
      contestant: contestant.name,
      settings: contestant.settings,
      bound: contestant.bound ?? false,
      values: (samples[index] ?? []).map(({ value }) => value),
      median: own,
      ratio: race.better === "less" ? own / ours : ours / own,
      figures: figuresOf(samples[index] ?? [])
    }
  })
}
