/**
 * The ledger of the destination: one line for each thing that happened to a call, in the order in which it happened, outside of the
 * database. What it has accepted was on disk (fsync) before the answer left.
 */
import { readFileSync } from "node:fs"

/**
 * begun: the call has come. accepted: the destination has the event. answered: yes was said. lost: accepted, and then nothing was said.
 * refused: no was said. hung: nothing was said, and nothing done.
 */
export type Happening = "begun" | "accepted" | "answered" | "lost" | "refused" | "hung"

export interface Line {
  readonly what: Happening
  /** Milliseconds. */
  readonly at: number
  /** The event. */
  readonly id: string
  /** The call: each has a number of its own. */
  readonly call: number
  /** Who called. */
  readonly worker: string
}

export const readLines = <A>(file: string): ReadonlyArray<A> =>
  readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as A)
