/**
 * Brings the JSON of an older version of an event to the newest, one version at a time.
 *
 * An upcaster is a pure function from the JSON of version n to that of n + 1. Payload schemas of old versions are not
 * kept: only the result of the last step is decoded.
 */
import * as Result from "effect/Result"

/** JSON of version n in, JSON of version n + 1 out. What it throws makes the event undecodable, not the program. */
export type Upcaster = (json: unknown) => unknown

/** By the version that they take: `{ 1: fromOneToTwo, 2: fromTwoToThree }`. */
export type Upcasters = { readonly [version: number]: Upcaster }

/** The versions from the oldest upcaster up to `newest` that have no upcaster, or upcasters that nothing would ever call. */
export const gaps = (upcasters: Upcasters, newest: number): ReadonlyArray<number> => {
  const known = Object.keys(upcasters).map(Number)
  const stray = known.filter((version) => !Number.isInteger(version) || version < 1 || version >= newest)
  const oldest = Math.min(newest, ...known)
  const missing = Array.from({ length: Math.max(0, newest - oldest) }, (_, i) => oldest + i)
    .filter((version) => upcasters[version] === undefined)
  return [...stray, ...missing]
}

/** Folds `json` from version `from` to `to`. Fails with the version whose upcaster is missing or has thrown. */
export const upcast = (
  upcasters: Upcasters,
  json: unknown,
  from: number,
  to: number
): Result.Result<unknown, { readonly version: number; readonly cause: unknown }> => {
  // A copy: an upcaster that changes what it is given must not find it changed when the event is read again.
  let current = from < to ? structuredClone(json) : json
  for (let version = from; version < to; version++) {
    const step = upcasters[version]
    if (step === undefined) {
      return Result.fail({
        version,
        cause: new Error(`there is no upcaster from version ${version} to ${version + 1}`)
      })
    }
    try {
      current = step(current)
    } catch (cause) {
      return Result.fail({ version, cause })
    }
  }
  return Result.succeed(current)
}
