/** What is heard of a destination by delivering to it, kept as the state of its circuit breaker, and told in the log and the metrics. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Heard } from "./attemptDelivery.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { recordUp } from "./deliveryMetrics.ts"

/** Tells of changes from a fiber in the scope: `hear` is called where nothing may wait. */
export const listenTo = Effect.fnUntraced(function*(destination: string) {
  yield* recordUp(destination, true)
  let breaker: CircuitBreaker.CircuitBreaker = CircuitBreaker.closed
  const news = yield* Queue.unbounded<Effect.Effect<void>>()
  yield* Effect.flatten(Queue.take(news)).pipe(Effect.forever, Effect.forkScoped)
  return {
    breaker: () => breaker,
    hear: (heard: Heard) => {
      if (heard._tag === "Nothing") return
      const before = breaker
      breaker = heard._tag === "Down" ? CircuitBreaker.down(before) : CircuitBreaker.closed
      if (breaker === before) return
      const told = breaker._tag === "Open" && heard._tag === "Down"
        ? Effect.logWarning(`${destination} is down, its entries wait uncharged: ${heard.reason}`)
        : Effect.logInfo(`${destination} is up again`)
      Queue.offerUnsafe(news, Effect.andThen(recordUp(destination, breaker._tag === "Closed"), told))
    },
    /** From now on it is tried again, with one entry. */
    probe: () => {
      breaker = CircuitBreaker.probe(breaker)
    }
  }
})
