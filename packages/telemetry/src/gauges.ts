/** The metrics that are read from the database, and how they are set: what is not there any more is set to 0. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

const gauge = (name: string, unit: string, description: string) =>
  Metric.gauge(name, { description, attributes: { unit } })

export const up = gauge(
  "zakops.database.up",
  "{database}",
  "Whether the metrics of the database are up to date: 1, or 0 where they could not be read, and are those of before"
)
export const entries = gauge(
  "zakops.outbox.entries",
  "{entry}",
  "Entries by state; counted up to 10,000 for each state, estimated by the database beyond"
)
export const blockedKeys = gauge("zakops.outbox.blocked_keys", "{key}", "Ordering keys that a dead entry holds up")
export const destinationEntries = gauge(
  "zakops.destination.entries",
  "{entry}",
  "Entries by destination: pending, holding (of these, with a worker) and dead; counted up to 10,000"
)
export const oldestPendingAge = gauge(
  "zakops.destination.oldest_pending_age",
  "s",
  "For how long the entry that is due longest has been waiting, by destination; 0 where none is due"
)
export const workers = gauge("zakops.destination.workers", "{worker}", "Workers that deliver, by destination")
export const paused = gauge(
  "zakops.destination.paused",
  "{destination}",
  "Whether delivery to the destination is paused"
)
export const parked = gauge("zakops.subscription.parked", "{event}", "Events that a subscription has set aside")

/** The labels of a value, in one order of their names, and the value. */
export type Values = ReadonlyArray<readonly [labels: Readonly<Record<string, string>>, value: number]>

/** Gives an effect that sets the gauge to these values, and what it had set before and is not among them to 0. */
export const setter = (metric: Metric.Gauge<number>) => {
  let before = new Map<string, Readonly<Record<string, string>>>()
  return (values: Values): Effect.Effect<void> =>
    Effect.suspend(() => {
      const gone = before
      before = new Map(values.map(([labels]) => [JSON.stringify(labels), labels]))
      const zeros: Values = [...gone].filter(([key]) => !before.has(key)).map(([, labels]) => [labels, 0])
      return Effect.forEach(
        [...zeros, ...values],
        ([labels, value]) => Metric.update(Metric.withAttributes(metric, labels), value),
        { discard: true }
      )
    })
}
