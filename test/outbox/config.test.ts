/** Settings: the seed's defaults, and one clear line for each bad value. */
import { assert, describe, it } from "@effect/vitest"
import { ladder, OutboxConfig } from "@zakops/outbox"
import { requireInboxAge, retryWindow } from "@zakops/outbox/retention/redeliveryWindow"
import { modeOf } from "@zakops/outbox/RolloutModes"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"

const settings = (env: Record<string, string>) =>
  OutboxConfig.pipe(
    Effect.provide(OutboxConfig.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))))
  )

describe("the settings", () => {
  it.effect("have the seed's defaults, and theirs", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* settings({}), {
        enabled: true,
        processorEnabled: true,
        pollInterval: Duration.seconds(1),
        batchSize: 100,
        batchBytes: 16_777_216,
        maxAttempts: 5,
        concurrency: 100,
        lease: Duration.seconds(30),
        publishTimeout: Duration.seconds(30),
        drainTimeout: Duration.seconds(10),
        maxEventBytes: 1_048_576,
        retentionDelivered: Duration.infinity,
        retentionInbox: Duration.infinity,
        retentionAttempts: Duration.infinity,
        retentionDead: Duration.infinity,
        redriveWindow: Duration.days(30),
        maintenanceEnabled: true,
        maintenanceInterval: Duration.seconds(60),
        modes: {}
      })
    }))

  it.effect("are read from their variables", () =>
    Effect.gen(function*() {
      const read = yield* settings({
        OUTBOX_ENABLED: "false",
        OUTBOX_PROCESSOR_ENABLED: "no",
        OUTBOX_POLL_INTERVAL: "0.25",
        OUTBOX_BATCH_SIZE: "1",
        OUTBOX_MAX_ATTEMPTS: "1000"
      })
      assert.deepInclude(read, { enabled: false, processorEnabled: false, batchSize: 1, maxAttempts: 1000 })
      assert.strictEqual(Duration.toMillis(read.pollInterval), 250)
    }))

  it.effect("take ages in days, also parts of one, or never", () =>
    Effect.gen(function*() {
      const read = yield* settings({
        OUTBOX_RETENTION_DELIVERED: "0.5",
        OUTBOX_RETENTION_INBOX: "Never",
        OUTBOX_RETENTION_DEAD: "90"
      })
      assert.strictEqual(Duration.toHours(read.retentionDelivered), 12)
      assert.isFalse(Duration.isFinite(read.retentionInbox))
      assert.strictEqual(Duration.toDays(read.retentionDead), 90)
    }))

  it.effect("give each type its mode", () =>
    Effect.gen(function*() {
      const modes = (text: string) => Effect.map(settings({ OUTBOX_MODES: text }), (read) => read.modes)
      assert.deepStrictEqual(yield* modes(""), {})
      assert.deepStrictEqual(yield* modes("deal.created=shadow, deal.won = direct ,*=outbox"), {
        "deal.created": "shadow",
        "deal.won": "direct",
        "*": "outbox"
      })
      // The last of them separates: a type may contain any character but a comma.
      assert.deepStrictEqual(yield* modes("a=b=shadow"), { "a=b": "shadow" })
      const some = { "deal.won": "direct", "*": "shadow" } as const
      const named = { enabled: true, modes: some }
      assert.deepStrictEqual(
        ["deal.won", "other", "constructor", "__proto__"].map((type) => modeOf(named, type)),
        ["direct", "shadow", "shadow", "shadow"]
      )
      assert.strictEqual(modeOf({ enabled: true, modes: {} }, "constructor"), "outbox")
      assert.strictEqual(modeOf({ enabled: false, modes: some }, "other"), "direct")
    }))

  it.effect.each([
    ...["deal.created", "deal.created=", "=shadow", "deal.created=both", "a=shadow,", "a=shadow,a=direct", ","].map(
      (value) => ({ variable: "OUTBOX_MODES", value, allowed: "a list like deal.created=shadow" })
    ),
    { variable: "OUTBOX_MODES", value: `${"x".repeat(101)}=shadow`, allowed: "a list like" },
    { variable: "OUTBOX_ENABLED", value: "maybe", allowed: "true or false" },
    { variable: "OUTBOX_PROCESSOR_ENABLED", value: "2", allowed: "true or false" },
    { variable: "OUTBOX_POLL_INTERVAL", value: "-1", allowed: "a number of seconds from 0.01 to 3600" },
    { variable: "OUTBOX_POLL_INTERVAL", value: "0", allowed: "a number of seconds" },
    { variable: "OUTBOX_POLL_INTERVAL", value: "1s", allowed: "a number of seconds" },
    { variable: "OUTBOX_POLL_INTERVAL", value: "NaN", allowed: "a number of seconds" },
    { variable: "OUTBOX_BATCH_SIZE", value: "0", allowed: "a whole number from 1 to 10000" },
    { variable: "OUTBOX_BATCH_SIZE", value: "1.5", allowed: "a whole number" },
    { variable: "OUTBOX_BATCH_SIZE", value: "1e3", allowed: "a whole number" },
    { variable: "OUTBOX_MAX_ATTEMPTS", value: "0", allowed: "a whole number from 1 to 1000" },
    { variable: "OUTBOX_LEASE", value: "0.5", allowed: "a number of seconds from 1 to 3600" },
    { variable: "OUTBOX_CONCURRENCY", value: "many", allowed: "a whole number" },
    { variable: "OUTBOX_DRAIN_TIMEOUT", value: "-0", allowed: "a number of seconds" },
    { variable: "OUTBOX_PUBLISH_TIMEOUT", value: "99999", allowed: "a number of seconds" },
    { variable: "OUTBOX_MAX_EVENT_BYTES", value: "1MB", allowed: "a whole number" },
    { variable: "OUTBOX_RETENTION_DELIVERED", value: "0", allowed: "never, or a number of days from 0.0001 to 36500" },
    { variable: "OUTBOX_RETENTION_INBOX", value: "-1", allowed: "never, or a number of days" },
    { variable: "OUTBOX_RETENTION_ATTEMPTS", value: "30d", allowed: "never, or a number of days" },
    { variable: "OUTBOX_RETENTION_DEAD", value: "soon", allowed: "never, or a number of days" },
    { variable: "OUTBOX_REDRIVE_WINDOW", value: "never", allowed: "a number of days from 0 to 36500" },
    { variable: "OUTBOX_MAINTENANCE_INTERVAL", value: "0", allowed: "a number of seconds from 1 to 86400" },
    { variable: "OUTBOX_MAINTENANCE_ENABLED", value: "2", allowed: "true or false" }
  ])(
    "refuse $variable=$value in one line that says what is allowed",
    ({ allowed, value, variable }) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(settings({ [variable]: value }))
        assert.strictEqual(error._tag, "InvalidSetting")
        assert.include(error.message, `${variable} is "${value.slice(0, 100)}": allowed is ${allowed}`)
        assert.notInclude(error.message, "\n")
      })
  )
})

describe("the inbox's age", () => {
  const given = (env: Record<string, string>, policy = ladder) =>
    Effect.flatMap(settings(env), (read) => requireInboxAge(read, policy))

  const least =
    "never, or at least 30.0158 days: twice the 0.0079 days that 5 attempts take (OUTBOX_MAX_ATTEMPTS), and " +
    "30 days in which a dead letter may be redriven (OUTBOX_REDRIVE_WINDOW)"

  it.effect("is refused where an event may come again after it, in one line that names what it depends on", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(given({ OUTBOX_RETENTION_INBOX: "7" }))
      assert.strictEqual(error._tag, "InvalidSetting")
      assert.strictEqual(error.message, `OUTBOX_RETENTION_INBOX is "7": allowed is ${least}`)
      yield* given({ OUTBOX_RETENTION_INBOX: "30.0158" })
      yield* given({ OUTBOX_RETENTION_INBOX: "never", OUTBOX_RETENTION_DEAD: "1000" })
    }))

  it.effect("has to be longer than dead letters are kept, where they are not kept for ever", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(given({ OUTBOX_RETENTION_INBOX: "60", OUTBOX_RETENTION_DEAD: "60" }))
      assert.include(error.message, "at least 60.0158 days")
      assert.include(error.message, "(OUTBOX_RETENTION_DEAD)")
      yield* given({ OUTBOX_RETENTION_INBOX: "7", OUTBOX_RETENTION_DEAD: "6" })
    }))

  it.effect("may be short where dead letters are not redriven after a while, and is not shorter than all attempts twice", () =>
    Effect.gen(function*() {
      // 5 + 15 + 60 + 300 s of waiting, and 5 attempts that hang 30 s and leave a lease of 30 s behind.
      const retries = Duration.seconds(380 + 5 * 60)
      assert.deepStrictEqual(yield* retryWindow(yield* settings({}), ladder), retries)
      yield* given({ OUTBOX_RETENTION_INBOX: "0.0158", OUTBOX_REDRIVE_WINDOW: "0" })
      yield* Effect.flip(given({ OUTBOX_RETENTION_INBOX: "0.0157", OUTBOX_REDRIVE_WINDOW: "0" }))
      const longer = { OUTBOX_RETENTION_INBOX: "0.0158", OUTBOX_REDRIVE_WINDOW: "0", OUTBOX_MAX_ATTEMPTS: "6" }
      assert.include((yield* Effect.flip(given(longer))).message, "that 6 attempts take")
    }))

  it.effect("goes by the program's own policy, which may end before the attempts do", () =>
    Effect.gen(function*() {
      const twice = Schedule.spaced("1 day").pipe(Schedule.upTo({ times: 2 }))
      const read = yield* settings({ OUTBOX_MAX_ATTEMPTS: "1000" })
      assert.deepStrictEqual(yield* retryWindow(read, twice), Duration.sum(Duration.days(2), Duration.minutes(3)))
    }))
})
