/**
 * The settings of the outbox, read from environment variables; each has a default.
 *
 * A bad value stops the start with one line that names the variable, the value and what is allowed. It never falls back to the
 * default in silence.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

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
}

/** A variable has a value that is not allowed. */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  variable: Schema.String,
  value: Schema.String,
  allowed: Schema.String
}) {
  override get message() {
    return `${this.variable} is ${JSON.stringify(this.value.slice(0, 100))}: allowed is ${this.allowed}`
  }
}

interface Setting<A> {
  readonly variable: string
  readonly fallback: A
  readonly allowed: string
  readonly parse: (text: string) => A | undefined
}

const yesNo = (variable: string, fallback: boolean): Setting<boolean> => ({
  variable,
  fallback,
  allowed: "true or false (also: 1, 0, yes, no, on, off)",
  parse: (text) => /^(true|1|yes|on)$/i.test(text) ? true : /^(false|0|no|off)$/i.test(text) ? false : undefined
})

const inRange = (value: number, least: number, most: number) => value >= least && value <= most

const whole = (variable: string, fallback: number, least: number, most: number): Setting<number> => ({
  variable,
  fallback,
  allowed: `a whole number from ${least} to ${most}`,
  parse: (text) => /^\d+$/.test(text) && inRange(Number(text), least, most) ? Number(text) : undefined
})

const seconds = (variable: string, fallback: number, least: number, most: number): Setting<Duration.Duration> => ({
  variable,
  fallback: Duration.seconds(fallback),
  allowed: `a number of seconds from ${least} to ${most}`,
  parse: (text) =>
    /^\d+(\.\d+)?$/.test(text) && inRange(Number(text), least, most) ? Duration.seconds(Number(text)) : undefined
})

const read = Effect.fnUntraced(function*<A>(setting: Setting<A>) {
  const { allowed, variable } = setting
  const given = yield* Effect.orDie(Config.option(Config.String(variable)))
  if (Option.isNone(given)) return setting.fallback
  const parsed = setting.parse(given.value.trim())
  return parsed === undefined ? yield* new InvalidSetting({ variable, value: given.value, allowed }) : parsed
})

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
  maxEventBytes: read(whole("OUTBOX_MAX_EVENT_BYTES", 1_048_576, 1, 8_388_608))
})

export class OutboxConfig extends Context.Service<OutboxConfig, OutboxSettings>()("@zakops/outbox/OutboxConfig") {
  /** Reads the environment (through the ConfigProvider in use). Fails with `InvalidSetting`. */
  static readonly layer = Layer.effect(OutboxConfig, fromEnvironment)

  /** The environment, with some settings given by the program instead. For tests and embedders. */
  static readonly layerWith = (given: Partial<OutboxSettings>) =>
    Layer.effect(OutboxConfig, Effect.map(fromEnvironment, (settings) => ({ ...settings, ...given })))
}
