/** From `deliverAt`, `delay` and `expiresAt` to what the row says of time; what a timestamp could not hold is refused. */
import type { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { EmitOptions, NewEntry } from "./Emission.ts"
import type { Refuse } from "./refusals.ts"

const earliest = Date.parse("0001-01-01T00:00:00Z")
const latest = Date.parse("+010000-01-01T00:00:00Z")

/** What Postgres and JavaScript both write with four digits of a year. */
const inRange = (time: Date) => time.getTime() >= earliest && time.getTime() < latest

const longest = Duration.toMillis(Duration.days(36_500))

/** Milliseconds of what was given as a duration; undefined where it is none, is negative, or longer than 100 years. */
export const millisOf = (given: Duration.Input): number | undefined => {
  // Effect takes NaN for no time at all.
  if (typeof given === "number" && Number.isNaN(given)) return undefined
  const millis = Option.map(Duration.fromInput(given), Duration.toMillis)
  return Option.getOrUndefined(Option.filter(millis, (millis) => millis >= 0 && millis <= longest))
}

export const deliveryTimes = (
  { deliverAt, delay, expiresAt }: Pick<EmitOptions, "deliverAt" | "delay" | "expiresAt">,
  refuse: Refuse
): Result.Result<Pick<NewEntry, "deliverAt" | "delay" | "expiresAt">, InvalidEvent> => {
  if (deliverAt !== undefined && delay !== undefined) return refuse("delay", "is given together with deliverAt")
  for (const [field, time] of [["deliverAt", deliverAt], ["expiresAt", expiresAt]] as const) {
    if (time !== undefined && !inRange(time)) return refuse(field, "is no time between the years 1 and 9999")
  }
  if (deliverAt !== undefined && expiresAt !== undefined && expiresAt <= deliverAt) {
    return refuse("expiresAt", "is not after deliverAt: the event could never be delivered")
  }
  const millis = delay === undefined ? 0 : millisOf(delay)
  if (millis === undefined) return refuse("delay", "is no duration from 0 to 100 years")
  return Result.succeed({
    deliverAt: deliverAt?.toISOString() ?? null,
    delay: millis,
    expiresAt: expiresAt?.toISOString() ?? null
  })
}
