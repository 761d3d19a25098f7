/** What an entry carries along of its definition's schedule says the same as the schedule itself. */
import { assert, describe, it } from "@effect/vitest"
import type { DeliveryOptions } from "@zakops/events/DeliverySettings"
import * as EventDefinition from "@zakops/events/EventDefinition"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import { toWaits, waitAfter } from "@zakops/events/RetrySchedule"
import { ladder } from "@zakops/outbox"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

const schedules: Readonly<Record<"ladder" | "spaced" | "exponential" | "capped" | "fibonacci", RetrySchedule>> = {
  ladder,
  spaced: Schedule.spaced("3 seconds"),
  exponential: Schedule.exponential("1 milli"),
  capped: Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")]),
  fibonacci: Schedule.fibonacci("10 millis")
}
const Name = Schema.Literals(["ladder", "spaced", "exponential", "capped", "fibonacci"])
const century = Duration.toMillis(Duration.days(36_500))

/** As SQL takes it from the row: the wait after the n-th failure, or the last one. */
const inRow = (millis: ReadonlyArray<number>, failures: number) => millis[Math.min(failures, millis.length) - 1]

describe("the waits of a row", () => {
  it.effect.prop(
    "are those of the schedule, up to the hundredth, and that one from then on",
    { name: Name, failures: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 150 })) },
    Effect.fnUntraced(function*({ failures, name }) {
      const waits = toWaits(schedules[name])
      const expected = yield* waitAfter(schedules[name], Math.min(failures, 100))
      assert.strictEqual(
        inRow(waits.millis, failures),
        Math.min(Duration.toMillis(Option.getOrThrow(expected)), century)
      )
      assert.isUndefined(waits.mostAttempts)
    }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "end where the schedule ends, and so do the attempts",
    {
      name: Name,
      times: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 })),
      failures: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 120 }))
    },
    Effect.fnUntraced(function*({ failures, name, times }) {
      const schedule = schedules[name].pipe(Schedule.upTo({ times }))
      const { millis, mostAttempts } = toWaits(schedule)
      assert.strictEqual(mostAttempts, times + 1)
      const wait = yield* waitAfter(schedule, failures)
      // The attempt after the last wait is the last: its failure finds no wait, and attempts >= max_attempts.
      assert.strictEqual(Option.isNone(wait), failures >= times + 1)
      if (Option.isSome(wait)) {
        assert.strictEqual(inRow(millis, failures), Math.min(Duration.toMillis(wait.value), century))
      }
    }),
    { arbitrary: { runs: 200 } }
  )

  it("are none that a timestamp could not hold", () => {
    assert.deepStrictEqual(toWaits(Schedule.spaced("-5 seconds")).millis, [0])
    assert.deepStrictEqual(toWaits(Schedule.spaced(Duration.infinity)).millis, [century])
  })
})

describe("a definition", () => {
  it("throws when the module loads, where its settings cannot be kept to", () => {
    const define = (delivery: DeliveryOptions<unknown>) => () =>
      EventDefinition.make("a", { payload: Schema.Unknown, delivery })
    for (const maxAttempts of [0, -1, 1.5, NaN, 2 ** 31]) assert.throws(define({ maxAttempts }), /maxAttempts/)
    const waiting: RetrySchedule = Schedule.spaced("1 second").pipe(
      Schedule.modifyDelay(() => Effect.as(Effect.promise(() => Promise.resolve()), "1 second"))
    )
    assert.throws(define({ retry: waiting }), /without waiting/)
    assert.doesNotThrow(define({ maxAttempts: 1, retry: ladder }))
  })
})
