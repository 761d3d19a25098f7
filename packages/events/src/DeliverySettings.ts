/**
 * How the events of one definition are delivered, unless an `emit` says otherwise: their order, what their failures do, how often they are
 * tried.
 *
 * The settings travel with each entry, so that a worker which does not know the definition keeps to them as well.
 */
import type { RetrySchedule, Waits } from "./RetrySchedule.ts"
import { toWaits } from "./RetrySchedule.ts"

/** What the other events of a key do when one of them is dead: wait for somebody to decide, or go on without it. */
export type OnDead = "block" | "skip"

/** Given with a definition; each left out is as for an event without settings. */
export interface DeliveryOptions<in A> {
  /**
   * Which events are delivered one after another: those of the same aggregate, of the same correlation id, or with the same key of at most
   * 200 characters. Without it there is no order.
   */
  readonly orderBy?: "aggregate" | "correlation" | ((data: A) => string) | undefined
  /** Only for ordered events. `block` unless given. */
  readonly onDead?: OnDead | undefined
  /** Instead of `OUTBOX_MAX_ATTEMPTS`: a whole number from 1 up. */
  readonly maxAttempts?: number | undefined
  /** Instead of the processor's `RetryPolicy`. Must step without waiting; its first 100 waits are used, the last of them again. */
  readonly retry?: RetrySchedule | undefined
}

/** The settings of one event. */
export interface DeliverySettings {
  readonly orderBy: "aggregate" | "correlation" | { readonly key: string } | undefined
  readonly onDead: OnDead
  readonly maxAttempts: number | undefined
  readonly waits: Waits | undefined
}

/** What is wrong with the options, if anything. */
export const problemOf = ({ maxAttempts, retry }: DeliveryOptions<never>): string | undefined => {
  if (maxAttempts !== undefined && (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 2_147_483_647)) {
    return `maxAttempts ${maxAttempts} is no whole number from 1 up`
  }
  if (retry === undefined) return undefined
  try {
    toWaits(retry)
    return undefined
  } catch (cause) {
    return `its retry schedule does not step without waiting: ${String(cause)}`
  }
}

/** Gives the settings of each event of a definition. */
export const settingsOf = <A>(options: DeliveryOptions<A>): (data: A) => DeliverySettings => {
  const { maxAttempts, onDead = "block", orderBy } = options
  const waits = options.retry === undefined ? undefined : toWaits(options.retry)
  const fixed = { onDead, maxAttempts, waits }
  return typeof orderBy === "function"
    ? (data) => ({ ...fixed, orderBy: { key: orderBy(data) } })
    : () => ({ ...fixed, orderBy })
}
