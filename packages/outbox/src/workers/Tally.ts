/** What one worker has done since it was started, counted in memory; and the metric that all workers share. */
import * as Effect from "effect/Effect"
import * as ProcessorCounts from "../delivering/ProcessorCounts.ts"

/** Numbers since the start. `routed`: entries made for routes. */
export interface Totals {
  readonly delivered: number
  readonly failed: number
  readonly dead: number
  readonly fenced: number
  readonly routed: number
}

export class Tally {
  readonly #destination: string
  totals: Totals = { delivered: 0, failed: 0, dead: 0, fenced: 0, routed: 0 }

  /** @param destination whose metric it adds to */
  constructor(destination: string) {
    this.#destination = destination
  }

  /** Adds what a round has done, here and to the metric. */
  record(counts: ProcessorCounts.ProcessorCounts): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { totals } = this
      this.totals = {
        delivered: totals.delivered + counts.delivered,
        failed: totals.failed + counts.retried,
        dead: totals.dead + counts.dead,
        fenced: totals.fenced + counts.fenced,
        routed: totals.routed
      }
      return ProcessorCounts.record(this.#destination, counts)
    })
  }

  /** Entries were made for routes. */
  routed(count: number): Effect.Effect<void> {
    return Effect.sync(() => {
      this.totals = { ...this.totals, routed: this.totals.routed + count }
    })
  }
}
