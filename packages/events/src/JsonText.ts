/**
 * JSON text that Postgres takes as jsonb and gives back unchanged, or the path of what it could not hold.
 *
 * `JSON.stringify` alone loses things in silence: NaN becomes null, undefined disappears. Postgres refuses NUL and lone
 * surrogates, but only after the statement has failed and taken the caller's transaction along. Both are found here first.
 */
import * as Result from "effect/Result"

/** Where a value is not JSON, and why. `path` starts with the name given for the whole. */
export interface NotJson {
  readonly path: string
  readonly problem: string
}

/** Deeper data exhausts the stack of some JSON parsers, Postgres' among them. */
const maxDepth = 200

const identifier = /^[A-Za-z_$][\w$]*$/

const member = (path: string, key: string) =>
  identifier.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`

/** A path as it stands in messages: `data.items[0].price`. */
export const pathOf = (name: string, path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }>): string =>
  path.reduce<string>((whole, step) => {
    const key = typeof step === "object" ? step.key : step
    return typeof key === "number" ? `${whole}[${key}]` : member(whole, String(key))
  }, name)

/** What is wrong with a piece of text for Postgres, if anything. */
export const textProblem = (text: string): string | undefined =>
  text.includes("\u0000")
    ? "contains a NUL character, which Postgres cannot store"
    : !text.isWellFormed()
    ? "contains half of a surrogate pair, which is no text"
    : undefined

/** A fault, and the steps that lead to it, the last one first: nearly always there is none, and no path to be put together. */
interface Fault {
  readonly steps: Array<string | number>
  readonly problem: string
}

const within = (fault: Fault | undefined, step: string | number): Fault | undefined => {
  fault?.steps.push(step)
  return fault
}

const find = (value: unknown, depth: number): Fault | undefined => {
  const fault = (problem: string): Fault => ({ steps: [], problem })
  if (depth > maxDepth) return fault(`is nested deeper than ${maxDepth} levels (or contains itself)`)
  switch (typeof value) {
    case "string": {
      const problem = textProblem(value)
      return problem === undefined ? undefined : fault(problem)
    }
    case "number":
      return Number.isFinite(value) ? undefined : fault(`is ${value}, which JSON cannot hold`)
    case "boolean":
      return undefined
    case "object": {
      if (value === null) return undefined
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) {
          const found = within(find(value[i], depth + 1), i)
          if (found !== undefined) return found
        }
        return undefined
      }
      const prototype = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype !== null) {
        return fault(`is a ${prototype.constructor?.name ?? "special object"}, which is not JSON`)
      }
      for (const [key, inner] of Object.entries(value)) {
        const inKey = textProblem(key)
        if (inKey !== undefined) return within(fault(`has a name that ${inKey}`), key)
        // As in JSON.stringify, an absent member and one that is undefined are the same.
        const found = inner === undefined ? undefined : within(find(inner, depth + 1), key)
        if (found !== undefined) return found
      }
      return undefined
    }
    default:
      return fault(`is ${value === undefined ? "undefined" : `a ${typeof value}`}, which JSON cannot hold`)
  }
}

/** Writes `value` as JSON text. `name` is what the whole is called in the path of a fault. */
export const encode = (value: unknown, name: string): Result.Result<string, NotJson> => {
  const fault = find(value, 0)
  return fault === undefined
    ? Result.succeed(JSON.stringify(value))
    : Result.fail({ path: pathOf(name, fault.steps.toReversed()), problem: fault.problem })
}
