/**
 * Statements that are made anew for each run, of fragments that seldom differ: their text is put together once, without what stands there for
 * the reader.
 *
 * A statement that meets one entry or none costs the client mostly its text, and so it does the server: one with comments and indentation is
 * twice as long, and copied for each run (a look that meets nothing took 230 microseconds, and takes 190).
 */
import type { Database } from "@zakops/migrations/Database"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Segment, Statement } from "effect/sql/Statement"
import { unlessTransformed } from "./compiledOnce.ts"

export interface KeptText {
  readonly rows: <A extends object>(statement: Statement<A>) => Effect.Effect<ReadonlyArray<A>, SqlError>
  /** As `rows`, each row by place. */
  readonly values: (statement: Statement<object>) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError>
}

/** The words of a statement, with null for each parameter, and the text of them all. */
interface Known {
  readonly words: ReadonlyArray<string | null>
  readonly text: string
}

/** For a statement and its few variants: that many are kept, those that were used last. */
const mostVariants = 8

/** What a publisher of somebody else's may use: escapes, dollar quotes, comments of many lines, constants that only a new line joins. */
const unusual = /(?<!\w)(?:[eE]|[uU]&)'|\$(?!\d)\w*\$|\/\*|\r|'(?:[^']|'')*'(?=(?:\s|--[^\n]*\n)+')/
const quoted = /'(?:[^']|'')*'|"(?:[^"]|"")*"/
const layout = /[^\S\r]*--[^\n\r]*[^\S\r]*|[^\S\r]+/
const token = new RegExp(`(${unusual.source})|(${quoted.source})|${layout.source}`, "g")

/** Comments and indentation left out, and nothing that stands in quotes; a text with anything unusual in it is left whole. */
export const withoutLayout = (text: string): string => {
  let isUsual = true
  const shorter = text.replaceAll(token, (_, isUnusual: string | undefined, quoted: string | undefined) => {
    if (isUnusual !== undefined) isUsual = false
    return quoted ?? " "
  })
  return isUsual ? shorter.trim() : text
}

/** Null for a parameter; undefined for anything else that is no word. */
const wordOf = (segment: Segment): string | null | undefined => {
  if (segment._tag === "Parameter") return null
  return segment._tag === "Literal" && segment.params === undefined ? segment.value : undefined
}

export const keepText = ({ sql }: Database): KeptText => {
  const known: Array<Known> = []

  const find = (segments: ReadonlyArray<Segment>): Known | undefined => {
    const found = known.findIndex(({ words }) =>
      words.length === segments.length && words.every((word, index) => word === wordOf(segments[index] as Segment))
    )
    const [variant] = found < 0 ? [] : known.splice(found, 1)
    if (variant !== undefined) known.unshift(variant)
    return variant
  }

  const learn = (statement: Statement<object>): Known | undefined => {
    const words = statement.segments.map(wordOf)
    if (!words.every((word) => word !== undefined)) return undefined
    const variant = { words, text: withoutLayout(statement.compile()[0]) }
    known.unshift(variant)
    known.length = Math.min(known.length, mostVariants)
    return variant
  }

  const kept = <A extends object>(statement: Statement<A>): Statement<A> => {
    const variant = find(statement.segments) ?? learn(statement)
    if (variant === undefined) return statement
    const params = statement.segments.flatMap((segment) => segment._tag === "Parameter" ? [segment.value] : [])
    return sql.unsafe<A>(variant.text, params)
  }

  const choose = <A extends object>(statement: Statement<A>) =>
    unlessTransformed(() => kept(statement), () => statement)

  return {
    rows: (statement) => Effect.flatMap(choose(statement), (chosen) => chosen),
    values: (statement) => Effect.flatMap(choose(statement), (chosen) => chosen.values)
  }
}
