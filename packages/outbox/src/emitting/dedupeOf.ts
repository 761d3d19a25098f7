/** The deduplication key of an emission and its window, or what is wrong with them. */
import type { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { millisOf } from "./deliveryTimes.ts"
import type { EmitOptions, NewEntry } from "./Emission.ts"
import type { Refuse } from "./refusals.ts"
import { textRefusal } from "./refusals.ts"

const oneDay = Duration.days(1)

export const dedupeOf = (
  { dedupeKey, dedupeWindow }: Pick<EmitOptions, "dedupeKey" | "dedupeWindow">,
  refuse: Refuse
): Result.Result<NewEntry["dedupe"], InvalidEvent> => {
  if (dedupeKey === undefined) {
    return dedupeWindow === undefined ? Result.succeed(null) : refuse("dedupeWindow", "is given without a dedupeKey")
  }
  const wrong = textRefusal(refuse, "dedupeKey", dedupeKey, 200)
  if (wrong !== undefined) return wrong
  const window = millisOf(dedupeWindow ?? oneDay)
  if (window === undefined || window === 0) return refuse("dedupeWindow", "is no duration above 0, up to 100 years")
  return Result.succeed({ key: dedupeKey, window })
}
