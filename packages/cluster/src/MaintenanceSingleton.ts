/**
 * Maintenance as a singleton of the cluster: one runner deletes what is old, and another goes on when shards move.
 *
 * The lease of zakops.tasks still holds: a runner that believes it owns the shard and does not deletes nothing beside another one, nor
 * does a program without a cluster. Build the outbox with `OUTBOX_MAINTENANCE_ENABLED=false`, so that it is not run twice for nothing.
 */
import { Maintenance } from "@zakops/outbox/Maintenance"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Singleton from "effect/cluster/Singleton"
import type { Sharding } from "effect/cluster/Sharding"

export interface SingletonOptions {
  /** The singleton's shard group. `default` unless given. */
  readonly shardGroup?: string | undefined
}

/** Runs as long as this runner owns the singleton's shard. */
export const layer = (options?: SingletonOptions): Layer.Layer<never, never, Sharding | Maintenance> =>
  Singleton.make("zakops/maintenance", Effect.flatMap(Maintenance, ({ start }) => start), options)
