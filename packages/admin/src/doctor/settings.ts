/** Whether the variables in this process's environment are allowed, and fit each other. */
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import { connectionSettings } from "@zakops/outbox/connecting/ConnectionSettings"
import type { InvalidSetting } from "@zakops/outbox/InvalidSetting"
import { OutboxConfig } from "@zakops/outbox/OutboxConfig"
import { requireInboxAge } from "@zakops/outbox/retention/redeliveryWindow"
import { RetryPolicy } from "@zakops/outbox/RetryPolicy"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Check } from "./Check.ts"
import { finding, ok } from "./Check.ts"

const name = "settings"

/** Those of the program that runs the doctor, or else those of the environment. */
export const settingsInUse = Effect.flatMap(
  Effect.serviceOption(OutboxConfig),
  Option.match({
    onNone: () => Effect.provide(OutboxConfig, OutboxConfig.layer),
    onSome: Effect.succeed
  })
)

const readAll = Effect.gen(function*() {
  const settings = yield* settingsInUse
  yield* connectionSettings
  yield* requireInboxAge(settings, yield* RetryPolicy)
})

export const settings: Check = {
  name,
  needs: "server",
  look: () =>
    readAll.pipe(
      Effect.as(ok(name, "the variables of this process are allowed")),
      Effect.catch((error: InvalidSetting | InvalidSchemaName) =>
        Effect.succeed([finding(
          name,
          "serious",
          "a variable has a value with which no process starts",
          error.message,
          "Correct it in the environment or in .env"
        )])
      )
    )
}
