/**
 * A reader of the event log as a singleton of the cluster: a consumer over a subscription, or a projection.
 *
 * Readers exclude each other by their leases in the database, with a cluster or without: the singleton decides which runner reads, so that
 * the others need not stand by, and the lease keeps two that both believe to own the shard apart.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { Scope } from "effect/Scope"
import * as Singleton from "effect/cluster/Singleton"
import type { Sharding } from "effect/cluster/Sharding"
import type { SingletonOptions } from "./MaintenanceSingleton.ts"

export interface ReaderOptions extends SingletonOptions {
  /** How long a reader that failed is left before it is begun again. A minute unless given. */
  readonly restartAfter?: Duration.Input | undefined
}

/**
 * Runs `reader` as long as this runner owns the shard of the singleton `name`: what `Consumer.run` or `run` of a projection gives. A reader
 * that fails is logged and begun again after a while, here or wherever the shard has moved.
 *
 * @param name of the subscription or projection: once in the whole cluster
 * @example
 * ReaderSingleton.layer("deal totals", run(dealTotals))
 */
export const layer = <E, R>(
  name: string,
  reader: Effect.Effect<unknown, E, R>,
  { restartAfter = Duration.minutes(1), ...options }: ReaderOptions = {}
): Layer.Layer<never, never, Sharding | Exclude<R, Scope>> =>
  Singleton.make(
    `zakops/${name}`,
    reader.pipe(
      Effect.tapCause((cause) => Effect.logError(`${name} stopped, and is begun again after a while`, cause)),
      Effect.retry(Schedule.spaced(restartAfter))
    ),
    options
  )
