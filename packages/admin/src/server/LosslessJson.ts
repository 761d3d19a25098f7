/**
 * JSON text, rewritten without being read as numbers: what is not masked stays as it is to the last digit, and in its order.
 *
 * Takes what Postgres gives as jsonb. Where the text is anything else, or too deep to follow, all of it is masked.
 */
import { masked as maskedText } from "../api/values.ts"

/** What stands in the place of a masked value. */
export const mask = JSON.stringify(maskedText)

export interface Rewritten {
  readonly text: string
  /** Whether anything was masked. */
  readonly masked: boolean
}

const string = /"(?:[^"\\]|\\.)*"/y
const scalar = /(?:-?\d[\d.eE+-]*|true|false|null)/y
const space = /[\s]*/y

class NotJson extends Error {}

/**
 * `isMasked` is asked of each member by its path; those of arrays have the path of their array. A value that stands in no object has the
 * empty path.
 */
export const rewrite = (text: string, isMasked: (path: ReadonlyArray<string>) => boolean): Rewritten => {
  let at = 0
  let masked = false
  const parts: Array<string> = []

  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found === undefined) throw new NotJson(text)
    at += found.length
    return found
  }
  const skip = () => parts.push(take(space))
  const expect = (character: string) => {
    if (text[at] !== character) throw new NotJson(text)
    at++
    parts.push(character)
  }

  /** The value of a member, which may be masked. */
  const value = (path: ReadonlyArray<string>): void => {
    skip()
    if (path.length > 0 && isMasked(path)) {
      const kept = parts.length
      inner(path)
      parts.length = kept
      parts.push(mask)
      masked = true
    } else inner(path)
    skip()
  }
  const inner = (path: ReadonlyArray<string>): void => {
    const first = text[at]
    if (first === "{") {
      members("{", "}", () => {
        skip()
        const name = take(string)
        parts.push(name)
        skip()
        expect(":")
        value([...path, JSON.parse(name) as string])
      })
    } else if (first === "[") {
      members("[", "]", () => {
        skip()
        inner(path)
        skip()
      })
    } else {
      const text = take(first === "\"" ? string : scalar)
      const bare = path.length === 0 && isMasked(path)
      parts.push(bare ? mask : text)
      masked ||= bare
    }
  }
  const members = (open: string, close: string, member: () => void) => {
    expect(open)
    skip()
    if (text[at] === close) return expect(close)
    while (true) {
      member()
      if (text[at] === close) return expect(close)
      expect(",")
    }
  }

  try {
    value([])
    if (at !== text.length) throw new NotJson(text)
    return { text: parts.join(""), masked }
  } catch (error) {
    if (error instanceof NotJson || error instanceof RangeError) return { text: mask, masked: true }
    throw error
  }
}
