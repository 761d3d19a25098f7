/**
 * Which fields of events nobody is shown: by their names, by their paths, or by a rule of the program's own.
 *
 * It covers data, headers and states, and the words that say why an event could not be read, which quote it. The text of an error, into
 * which a destination may have put what it was sent, is masked as a whole or not at all. Ids and ordering keys are always shown.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { masked } from "../api/values.ts"
import { ConsoleConfig } from "./ConsoleConfig.ts"
import { rewrite } from "./LosslessJson.ts"

export { masked }

/** A field of an event: `["data", "card", "number"]`, `["headers", "authorization"]`. Members of an array have the array's path. */
export interface Field {
  readonly path: ReadonlyArray<string>
  readonly eventType: string
}

/**
 * Whether a field is masked, beside those that CONSOLE_MASK names. No field, unless set. It is asked once for the texts of all errors: the path
 * is `["error"]`, the event type empty. A state is that of several types: what is masked in an event of one of them is masked.
 */
export const MaskRule = Context.Reference<(field: Field) => boolean>("@zakops/admin/MaskRule", {
  defaultValue: () => noRule
})

const noRule = () => false

/** Whether a field is one of the named: `email` wherever it stands, `data.card.number` there, `data.*.iban` with any name between. */
export const isNamed = (names: ReadonlyArray<string>) => {
  const anywhere = new Set(names.filter((name) => !name.includes(".")).map((name) => name.toLowerCase()))
  const paths = names.filter((name) => name.includes(".")).map((name) => name.toLowerCase().split("."))
  return (path: ReadonlyArray<string>): boolean => {
    const lower = path.map((step) => step.toLowerCase())
    return anywhere.has(lower.at(-1) ?? "") || anywhere.has("*") ||
      paths.some((steps) =>
        steps.length === lower.length && steps.every((step, n) => step === "*" || step === lower[n])
      )
  }
}

export interface Masking {
  /** Whether anything may be masked: named by a setting, or by a rule that was given. */
  readonly active: boolean
  /** An event with its fields masked. */
  readonly event: <A extends Event>(event: A) => A
  /** A state, whose fields have the paths of `data`, that came of events of these types. */
  readonly state: <A extends { readonly state: string; readonly masked: boolean }>(
    state: A,
    eventTypes: ReadonlyArray<string>
  ) => A
  /** Whether the texts of errors are masked. */
  readonly errors: boolean
  /** Whatever has the text of an error. */
  readonly error: <A extends { readonly error: string | null }>(row: A) => A
  /** Words that may quote what is in an event. */
  readonly quote: (words: string) => string
}

interface Event {
  readonly headers: string
  readonly data: string | null
  readonly masked: boolean
  readonly eventType?: string
  readonly entry?: { readonly eventType: string }
}

export const make: Effect.Effect<Masking, never, ConsoleConfig> = Effect.gen(function*() {
  const { mask } = yield* ConsoleConfig
  const rule = yield* MaskRule
  const named = isNamed(mask)
  const active = mask.length > 0 || rule !== noRule
  const part = (root: "data" | "headers", eventTypes: ReadonlyArray<string>, text: string) =>
    rewrite(text, (inner) => {
      const path = [root, ...inner]
      return named(path) || eventTypes.some((eventType) => rule({ path, eventType }))
    })
  const errors = named(["error"]) || rule({ path: ["error"], eventType: "" })
  return {
    active,
    errors,
    error: (row) => errors && row.error !== null ? { ...row, error: masked } : row,
    quote: (words) => active ? masked : words,
    event: (event) => {
      if (!active) return event
      const eventType = event.eventType ?? event.entry?.eventType ?? ""
      const headers = part("headers", [eventType], event.headers)
      const data = event.data === null ? { text: null, masked: false } : part("data", [eventType], event.data)
      return { ...event, headers: headers.text, data: data.text, masked: headers.masked || data.masked }
    },
    state: (given, eventTypes) => {
      if (!active) return given
      const { masked, text } = part("data", eventTypes, given.state)
      return { ...given, state: text, masked }
    }
  }
})
