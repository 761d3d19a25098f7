/** What a processor did with the entries that it took. */
import { labelled } from "@zakops/events/labelled"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

export interface ProcessorCounts {
  /** Delivered and settled. */
  readonly delivered: number
  /** Failed, and waiting for the next attempt. */
  readonly retried: number
  readonly dead: number
  /** Given back without a charge: the destination was down, or the processor stopped. */
  readonly handedBack: number
  /** Newer than this build: waiting, uncharged, for a worker of a newer one. */
  readonly parked: number
  /** Settled by somebody else in the meantime: the lease had run out. */
  readonly fenced: number
}

export const none: ProcessorCounts = { delivered: 0, retried: 0, dead: 0, handedBack: 0, parked: 0, fenced: 0 }

export const add = (a: ProcessorCounts, b: ProcessorCounts): ProcessorCounts => ({
  delivered: a.delivered + b.delivered,
  retried: a.retried + b.retried,
  dead: a.dead + b.dead,
  handedBack: a.handedBack + b.handedBack,
  parked: a.parked + b.parked,
  fenced: a.fenced + b.fenced
})

export const total = (counts: ProcessorCounts): number =>
  counts.delivered + counts.retried + counts.dead + counts.handedBack + counts.parked + counts.fenced

/** The metric `zakops.outbox.attempts` {destination, outcome}. */
export const attempts = Metric.counter("zakops.outbox.attempts", {
  description: "Attempts to deliver an outbox entry, by destination and outcome",
  attributes: { unit: "{attempt}" },
  incremental: true
})

const attemptsBy = labelled(attempts)

/** Adds to the metric `zakops.outbox.attempts` of the destination. */
export const record = (destination: string, counts: ProcessorCounts): Effect.Effect<void> =>
  Effect.forEach(
    Object.entries(counts).filter(([, count]) => count > 0),
    ([outcome, count]) => Metric.update(attemptsBy({ destination, outcome }), count),
    { discard: true }
  )
