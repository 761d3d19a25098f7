/**
 * The settings of the outbox, read from environment variables; each has a default.
 *
 * A bad value stops the start with one line that names the variable, the value and what is allowed. It never falls back to the
 * default in silence.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { InvalidSetting } from "./InvalidSetting.ts"
import { age, days, read, seconds, whole, yesNo } from "./connecting/readSetting.ts"
import type { Modes } from "./RolloutModes.ts"
import { allowedModes, parseModes } from "./RolloutModes.ts"

export interface OutboxSettings {
  /** `OUTBOX_ENABLED`: false publishes directly, as before there was an outbox. Default true. */
  readonly enabled: boolean
  /** `OUTBOX_PROCESSOR_ENABLED`: false only writes; other processes deliver. Default true. */
  readonly processorEnabled: boolean
  /** `OUTBOX_POLL_INTERVAL`, in seconds: how often to look for due entries when nothing else wakes the processor. Default 1.0. */
  readonly pollInterval: Duration.Duration
  /** `OUTBOX_BATCH_SIZE`: entries claimed at once. Default 100. */
  readonly batchSize: number
  /** `OUTBOX_BATCH_BYTES`: data claimed at once for an external publisher, in bytes of JSON, though at least one entry. Default 16777216. */
  readonly batchBytes: number
  /** `OUTBOX_MAX_ATTEMPTS`: the `max_attempts` that new entries are written with. Default 5. */
  readonly maxAttempts: number
  /** `OUTBOX_CONCURRENCY`: calls to an external publisher at the same time. Default 100. */
  readonly concurrency: number
  /** `OUTBOX_LEASE`, in seconds: how long a claim holds without being renewed. Default 30. */
  readonly lease: Duration.Duration
  /** `OUTBOX_PUBLISH_TIMEOUT`, in seconds: when a call to an external publisher counts as failed. Default 30. */
  readonly publishTimeout: Duration.Duration
  /** `OUTBOX_DRAIN_TIMEOUT`, in seconds: how long a stopping processor waits for what is in flight. Default 10. */
  readonly drainTimeout: Duration.Duration
  /** `OUTBOX_MAX_EVENT_BYTES`: the largest data of one event, as UTF-8 JSON. Default 1048576. */
  readonly maxEventBytes: number
  /** `OUTBOX_RETENTION_DELIVERED`, in days: when a delivered entry is deleted, counted from its delivery. Default never. */
  readonly retentionDelivered: Duration.Duration
  /** `OUTBOX_RETENTION_INBOX`, in days: when an inbox row is deleted. Never while its event may come again. Default never. */
  readonly retentionInbox: Duration.Duration
  /** `OUTBOX_RETENTION_ATTEMPTS`, in days: when the row of an attempt is deleted; with its entry at the latest. Default never. */
  readonly retentionAttempts: Duration.Duration
  /** `OUTBOX_RETENTION_DEAD`, in days: when a dead letter is deleted, and a discarded one counted from then. Default never. */
  readonly retentionDead: Duration.Duration
  /**
   * `OUTBOX_REDRIVE_WINDOW`, in days: how old a dead letter may be that is still redriven, where `OUTBOX_RETENTION_DEAD` does not
   * say so. The inbox's age may not be shorter. Default 30.
   */
  readonly redriveWindow: Duration.Duration
  /** `OUTBOX_MAINTENANCE_ENABLED`: false leaves deleting what is old to other processes. Default true. */
  readonly maintenanceEnabled: boolean
  /** `OUTBOX_MAINTENANCE_INTERVAL`, in seconds: how long after maintenance has finished some process begins it again. Default 60. */
  readonly maintenanceInterval: Duration.Duration
  /** `OUTBOX_MODES`: which types are published directly, or both ways to be compared. Default none: all go through the outbox. */
  readonly modes: Modes
}

const fromEnvironment: Effect.Effect<OutboxSettings, InvalidSetting> = Effect.all({
  enabled: read(yesNo("OUTBOX_ENABLED", true)),
  processorEnabled: read(yesNo("OUTBOX_PROCESSOR_ENABLED", true)),
  pollInterval: read(seconds("OUTBOX_POLL_INTERVAL", 1, 0.01, 3600)),
  batchSize: read(whole("OUTBOX_BATCH_SIZE", 100, 1, 10_000)),
  batchBytes: read(whole("OUTBOX_BATCH_BYTES", 16_777_216, 1, 1_073_741_824)),
  maxAttempts: read(whole("OUTBOX_MAX_ATTEMPTS", 5, 1, 1_000)),
  concurrency: read(whole("OUTBOX_CONCURRENCY", 100, 1, 10_000)),
  lease: read(seconds("OUTBOX_LEASE", 30, 1, 3600)),
  publishTimeout: read(seconds("OUTBOX_PUBLISH_TIMEOUT", 30, 0.01, 3600)),
  drainTimeout: read(seconds("OUTBOX_DRAIN_TIMEOUT", 10, 0, 3600)),
  maxEventBytes: read(whole("OUTBOX_MAX_EVENT_BYTES", 1_048_576, 1, 8_388_608)),
  retentionDelivered: read(age("OUTBOX_RETENTION_DELIVERED")),
  retentionInbox: read(age("OUTBOX_RETENTION_INBOX")),
  retentionAttempts: read(age("OUTBOX_RETENTION_ATTEMPTS")),
  retentionDead: read(age("OUTBOX_RETENTION_DEAD")),
  redriveWindow: read(days("OUTBOX_REDRIVE_WINDOW", 30, 0, 36_500)),
  maintenanceEnabled: read(yesNo("OUTBOX_MAINTENANCE_ENABLED", true)),
  maintenanceInterval: read(seconds("OUTBOX_MAINTENANCE_INTERVAL", 60, 1, 86_400)),
  modes: read<Modes>({ variable: "OUTBOX_MODES", fallback: {}, allowed: allowedModes, parse: parseModes })
})

export class OutboxConfig extends Context.Service<OutboxConfig, OutboxSettings>()("@zakops/outbox/OutboxConfig") {
  /** Reads the environment (through the ConfigProvider in use). Fails with `InvalidSetting`. */
  static readonly layer = Layer.effect(OutboxConfig, fromEnvironment)

  /** The environment, with some settings given by the program instead. For tests and embedders. */
  static readonly layerWith = (given: Partial<OutboxSettings>) =>
    Layer.effect(OutboxConfig, Effect.map(fromEnvironment, (settings) => ({ ...settings, ...given })))
}
