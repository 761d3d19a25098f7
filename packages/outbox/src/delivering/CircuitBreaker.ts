/**
 * Keeps a processor from running against a destination that takes nothing: closed, or open with one probe at a time.
 *
 * Pure bookkeeping; who asks does the waiting. An answer about an event, good or bad, shows that the destination is up.
 */
import * as Duration from "effect/Duration"

export type CircuitBreaker =
  | { readonly _tag: "Closed" }
  | { readonly _tag: "Open"; readonly wait: Duration.Duration; readonly probing: boolean }

const firstWait = Duration.seconds(1)
const longestWait = Duration.seconds(30)

export const closed: CircuitBreaker = { _tag: "Closed" }

/** The destination was down for one event. What was in flight at the same time says nothing new; a failed probe doubles the wait. */
export const down = (breaker: CircuitBreaker): CircuitBreaker => {
  if (breaker._tag === "Closed") return { _tag: "Open", wait: firstWait, probing: false }
  if (!breaker.probing) return breaker
  return { _tag: "Open", wait: Duration.min(Duration.times(breaker.wait, 2), longestWait), probing: false }
}

/** A probe is under way. */
export const probe = (breaker: CircuitBreaker): CircuitBreaker =>
  breaker._tag === "Closed" ? breaker : { ...breaker, probing: true }

/** As it is shown, and reported. */
export const nameOf = (breaker: CircuitBreaker): "closed" | "open" | "probing" =>
  breaker._tag === "Closed" ? "closed" : breaker.probing ? "probing" : "open"
