/**
 * How much a destination, or the events of one type, may be asked for: calls at the same time, and events in a period.
 *
 * A rate holds for all processes together: they draw from one account in the database, by its clock. Concurrency holds for each process.
 * An event beyond its type's limit waits in the type's own line, and holds up no other type.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"

/** So many events in a period; as many may come at once after a quiet period. */
export interface Rate {
  /** A whole number from 1 up. */
  readonly limit: number
  readonly per: Duration.Input
}

export interface TypeLimits {
  /** Calls to an external publisher at the same time, in this process: a whole number from 1 up. */
  readonly concurrency?: number | undefined
  readonly rate?: Rate | undefined
}

export interface Limits {
  /** Beside `OUTBOX_CONCURRENCY`. */
  readonly destination?: { readonly rate?: Rate | undefined } | undefined
  /** By event type. */
  readonly types?: Readonly<Record<string, TypeLimits>> | undefined
}

/**
 * None, unless a program provides its own. All processes that deliver should be given the same.
 *
 * @example
 * OutboxLive.pipe(Layer.provide(Layer.succeed(DeliveryLimits, {
 *   destination: { rate: { limit: 100, per: "1 second" } },
 *   types: { "deal.exported": { concurrency: 2 } }
 * })))
 */
export const DeliveryLimits = Context.Reference<Limits>("@zakops/outbox/DeliveryLimits", {
  defaultValue: () => ({})
})

/** What is wrong with the limits, if anything. */
export const problemOf = ({ destination, types = {} }: Limits): string | undefined => {
  const wrongRate = (name: string, rate: Rate | undefined) => {
    if (rate === undefined) return undefined
    if (!Number.isInteger(rate.limit) || rate.limit < 1) {
      return `the limit of ${name} is ${rate.limit}, no whole number from 1 up`
    }
    const period = Duration.toMillis(Duration.fromInputUnsafe(rate.per))
    return period > 0 && Number.isFinite(period) ? undefined : `the period of ${name} is no duration above 0`
  }
  const wrongs = Object.entries(types).map(([type, { concurrency, rate }]) =>
    concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1)
      ? `the concurrency of ${type} is ${concurrency}, no whole number from 1 up`
      : wrongRate(`type ${type}`, rate)
  )
  return [wrongRate("the destination", destination?.rate), ...wrongs].find((wrong) => wrong !== undefined)
}
