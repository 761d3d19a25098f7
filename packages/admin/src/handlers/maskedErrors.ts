/** What the masking of errors means for questions about them: none is answered by their text, and groups that look the same are one. */
import { InvalidRequest } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import type { Masking } from "../server/Masking.ts"

/** Refuses a filter by the text of errors where that is masked: whoever may ask often enough would find it out. */
export const askedOfErrors = (
  { errors }: Masking,
  { error }: { readonly error?: string | undefined }
): Effect.Effect<void, InvalidRequest> =>
  errors && error !== undefined
    ? Effect.fail(
      new InvalidRequest({ field: "error", problem: "cannot be asked for: the texts of errors are masked" })
    )
    : Effect.void

interface Grouped {
  readonly count: number
  readonly oldest?: Date | null
  readonly newest: Date | null
}

const earlier = (a: Date | null, b: Date | null) => a === null || (b !== null && b < a) ? b : a
const later = (a: Date | null, b: Date | null) => a === null || (b !== null && b > a) ? b : a

/** Groups with the same name as one, in the place of the first. */
export const sameTogether = <A extends Grouped>(
  groups: ReadonlyArray<A>,
  nameOf: (group: A) => string
): ReadonlyArray<A> => {
  const byName = new Map<string, A>()
  for (const group of groups) {
    const before = byName.get(nameOf(group))
    byName.set(
      nameOf(group),
      before === undefined ? group : {
        ...before,
        count: before.count + group.count,
        ...before.oldest !== undefined && { oldest: earlier(before.oldest, group.oldest ?? null) },
        newest: later(before.newest, group.newest)
      }
    )
  }
  return [...byName.values()]
}
