/** How long a run lasts, and the product's settings in it: waits and leases are scaled down, what they mean is not. */
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

export type Profile = "quick" | "full"

export interface Options {
  readonly profile: Profile
  /** Of traffic under faults. The start, the measurements before and the settling after come on top. */
  readonly seconds: number
  readonly seed: number
  /** A guarantee that is taken out of the product: the checks must notice. */
  readonly mutation?: string | undefined
  /** A folder that exists, where the logs of the processes stay after the run. */
  readonly logs?: string | undefined
}

/** Seconds of what a profile scales. */
export const scale = (profile: Profile) =>
  profile === "full"
    ? { outage: 30, openTransaction: 60, databaseAway: 8 }
    : { outage: 5, openTransaction: 10, databaseAway: 2 }

/** The schema whose outbox delivers to the destination outside, and the one whose outbox and event store feed the log. */
export const outsideSchema = "zakops"
export const logSchema = "zakops_log"

export const lease = Duration.seconds(3)
export const pollInterval = Duration.millis(250)

export const outboxSettings = {
  lease,
  pollInterval,
  batchSize: 20,
  concurrency: 20,
  publishTimeout: Duration.millis(1500),
  drainTimeout: Duration.seconds(1)
} as const

/** What may happen to an innocent event: many failures, never so many that it dies of them. */
export const maxAttempts = 100
/** Of an event that the destination never takes. */
export const poisonedAttempts = 3

export const ladder: RetrySchedule = Schedule.duration("100 millis").pipe(
  Schedule.concat(Schedule.duration("250 millis")),
  Schedule.concat(Schedule.duration("500 millis")),
  Schedule.concat(Schedule.spaced("1 second"))
)

export const orderingKeys = 500
export const clockOffset = Duration.seconds(90)
