/** Each variable with each value that somebody may put there: taken, or refused in one short line that names the variable. */
import { assert, describe, it } from "@effect/vitest"
import { schemaName } from "@zakops/migrations/SchemaName"
import { OutboxConfig } from "@zakops/outbox"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { settingCases } from "./settingCases.ts"

/** All settings, as a program reads them at its start. */
const start = (env: Record<string, string>) =>
  Effect.provide(
    Effect.all([OutboxConfig, schemaName]),
    OutboxConfig.layer.pipe(Layer.provideMerge(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))
  )

describe("the variable", () => {
  it.effect.each(settingCases)(
    "$name",
    ({ allowed, value, variable }) =>
      Effect.gen(function*() {
        const result = yield* Effect.result(start({ [variable]: value }))
        assert.strictEqual(Result.isSuccess(result), allowed)
        if (Result.isSuccess(result)) return
        assert.match(result.failure._tag, /^Invalid(Setting|SchemaName)$/)
        assert.match(result.failure.message, new RegExp(`^${variable} is .*allowed (is|are) `))
        assert.isBelow(result.failure.message.length, 300)
        assert.notInclude(result.failure.message, "\n")
      })
  )
})
