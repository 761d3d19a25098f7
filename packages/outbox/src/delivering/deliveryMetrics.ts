/** What is measured of deliveries besides their counts: how long events were on their way, and leases that ran out, and destinations that are down. */
import { labelled } from "@zakops/events/labelled"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

/** The metric `zakops.outbox.delivery.latency` {destination}, in seconds, while `Measured`. */
export const latency = Metric.histogram("zakops.outbox.delivery.latency", {
  description: "Time from the writing of an event to its delivery, by the database's clock",
  boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600],
  attributes: { unit: "s" }
})

/** The metric `zakops.outbox.lease.expirations` {destination}. */
export const leaseExpirations = Metric.counter("zakops.outbox.lease.expirations", {
  description: "Attempts that have failed because the lease of their worker ran out",
  attributes: { unit: "{lease}" },
  incremental: true
})

/** The metric `zakops.destination.up` {destination}, of a running processor. */
export const destinationUp = Metric.gauge("zakops.destination.up", {
  description: "Whether a destination takes events: 1, or 0 while this processor's circuit breaker is open",
  attributes: { unit: "{destination}" }
})

const upBy = labelled(destinationUp)
const latencyBy = labelled(latency)
const expirationsBy = labelled(leaseExpirations)

/** Adds to the latencies of the destination those that were measured, in seconds. */
export const recordLatencies = (destination: string, seconds: ReadonlyArray<number | undefined>): Effect.Effect<void> =>
  Effect.forEach(
    seconds.filter((latency) => latency !== undefined),
    (latency) => Metric.update(latencyBy({ destination }), Math.max(0, latency)),
    { discard: true }
  )

export const recordExpired = (destination: string, count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : Metric.update(expirationsBy({ destination }), count)

export const recordUp = (destination: string, up: boolean): Effect.Effect<void> =>
  Metric.update(upBy({ destination }), up ? 1 : 0)
