/** What a race is to show: a sentence, and whether its results bear it out. */
import type { Result } from "./Measurement.ts"

export interface Goal {
  readonly name: string
  /** The contestants that it is about. */
  readonly needs: ReadonlyArray<string>
  /** The measured number, to stand behind the goal. */
  readonly measure: (results: ReadonlyArray<Result>) => number
  readonly atLeast?: number
  readonly atMost?: number
  /** Where the result is good enough by another goal, this one does not have to be reached as well. */
  readonly or?: Goal
}

export interface Verdict {
  readonly goal: string
  readonly measured: number
  readonly reached: boolean
}

const find = (results: ReadonlyArray<Result>, name: string): Result => {
  const found = results.find(({ contestant }) => contestant === name)
  if (found === undefined) throw new Error(`no contestant is called ${name}`)
  return found
}

/** The median of one is at least so many times that of another one. */
export const times = (who: string, whom: string, atLeast: number): Goal => ({
  name: `${who} at least ${atLeast} times ${whom}`,
  needs: [who, whom],
  measure: (results) => find(results, who).median / find(results, whom).median,
  atLeast
})

/** NaN of none: without peers nothing is shown. */
const least = (values: ReadonlyArray<number>) => values.length === 0 ? NaN : Math.min(...values)

/** Ours is ahead of every peer by so much. */
export const timesEachPeer = (atLeast: number): Goal => ({
  name: `at least ${atLeast} times each peer`,
  needs: [],
  measure: (results) => least(results.slice(1).filter(({ bound }) => !bound).map(({ ratio }) => ratio)),
  atLeast
})

/** The median of one is at most that of another one. */
export const notAbove = (who: string, whom: string): Goal => ({
  name: `${who} not above ${whom}`,
  needs: [who, whom],
  measure: (results) => find(results, who).median / find(results, whom).median,
  atMost: 1
})

/** The median itself. */
export const atLeast = (who: string, atLeast: number, unit: string): Goal => ({
  name: `${who} at least ${atLeast.toLocaleString("en")} ${unit}`,
  needs: [who],
  measure: (results) => find(results, who).median,
  atLeast
})

export const atMost = (who: string, atMost: number, unit: string): Goal => ({
  name: `${who} at most ${atMost.toLocaleString("en")} ${unit}`,
  needs: [who],
  measure: (results) => find(results, who).median,
  atMost
})

/** A figure that was measured beside, of one by another one's. */
export const figureTimes = (figure: string, who: string, whom: string, atMost: number): Goal => ({
  name: `${figure} of ${who} at most ${atMost} times that of ${whom}`,
  needs: [who, whom],
  measure: (results) => (find(results, who).figures[figure] ?? NaN) / (find(results, whom).figures[figure] ?? NaN),
  atMost
})

/** A figure of ours is no worse than that of the best peer. */
export const figureNoWorse = (figure: string): Goal => ({
  name: `${figure} no worse than the best peer's`,
  needs: [],
  measure: (results) => {
    const [ours, ...others] = results.filter(({ bound }) => !bound).map(({ figures }) => figures[figure] ?? NaN)
    return (ours ?? NaN) / least(others)
  },
  atMost: 1
})

/** Either is enough. */
export const either = (one: Goal, other: Goal): Goal => ({
  ...one,
  name: `${one.name}, or ${other.name}`,
  needs: [...one.needs, ...other.needs],
  or: other
})

export const judge = (goal: Goal, results: ReadonlyArray<Result>): Verdict => {
  const measured = goal.measure(results)
  const reached = measured >= (goal.atLeast ?? -Infinity) && measured <= (goal.atMost ?? Infinity)
  return {
    goal: goal.name,
    measured,
    reached: reached || (goal.or !== undefined && judge(goal.or, results).reached)
  }
}
