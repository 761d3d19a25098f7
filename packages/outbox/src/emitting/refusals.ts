/** How an emission is refused: by the name of the field, in words that go on from it. */
import type { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as JsonText from "@zakops/events/JsonText"
import type * as Result from "effect/Result"

export type Refuse = (field: string, problem: string) => Result.Result<never, InvalidEvent>

/** A value as it stands in a message. */
export const quote = (value: string) => JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}...` : value)

// Postgres counts code points, JavaScript UTF-16 units; the second is never the smaller.
const longerThan = (text: string, characters: number) =>
  text.length > characters && Array.from(text).length > characters

export const byteLengthAbove = (text: string, bytes: number) =>
  // A UTF-16 unit is at most three bytes: short texts need no count.
  text.length * 3 > bytes && new TextEncoder().encode(text).byteLength > bytes

/** What a column of at most `most` characters would refuse, or undefined. */
export const textRefusal = (refuse: Refuse, field: string, text: string, most: number) => {
  if (text.length === 0 && !field.startsWith("aggregate")) return refuse(field, "is empty")
  if (longerThan(text, most)) return refuse(field, `is ${quote(text)}, which is longer than ${most} characters`)
  const problem = JsonText.textProblem(text)
  return problem === undefined ? undefined : refuse(field, problem)
}
