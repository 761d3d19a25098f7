/** Settings: the seed's defaults, and one clear line for each bad value. */
import { assert, describe, it } from "@effect/vitest"
import { OutboxConfig } from "@zakops/outbox"
import { modeOf } from "@zakops/outbox/RolloutModes"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

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
    { variable: "OUTBOX_MAX_EVENT_BYTES", value: "1MB", allowed: "a whole number" }
  ])(
    "refuse $variable=$value in one line that says what is allowed",
    ({ allowed, value, variable }) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(settings({ [variable]: value }))
        assert.strictEqual(error._tag, "InvalidSetting")
        assert.include(error.message, `${variable} is "${value}": allowed is ${allowed}`)
        assert.notInclude(error.message, "\n")
      })
  )
})
