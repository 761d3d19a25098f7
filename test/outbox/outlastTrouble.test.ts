/** A processor while its database is away: it tries again, and never long after the return. On a virtual clock. */
import { assert, it } from "@effect/vitest"
import { outlastTrouble } from "@zakops/outbox/connecting/outlastTrouble"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import * as TestClock from "effect/testing/TestClock"

it.effect.each([1, 9, 60, 3600])(
  "goes on within 5 s of the return of a database that was away for %i s",
  (seconds) =>
    Effect.gen(function*() {
      const refused = new SqlError({ reason: new ConnectionError({ cause: new Error("ECONNREFUSED") }) })
      const work = Effect.filterOrFail(Clock.currentTimeMillis, (now) => now >= seconds * 1000, () => refused)
      const fiber = yield* Effect.forkChild(outlastTrouble("claiming failed", work))
      yield* TestClock.adjust(`${seconds + 10} seconds`)
      assert.isAtMost(yield* Fiber.join(fiber), seconds * 1000 + 5000)
    })
)
