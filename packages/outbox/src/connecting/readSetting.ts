/** Reads one variable: its default where it is not given, its meaning where it is allowed, `InvalidSetting` otherwise. */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidSetting } from "../InvalidSetting.ts"

export interface Setting<A> {
  readonly variable: string
  readonly fallback: A
  readonly allowed: string
  readonly parse: (text: string) => A | undefined
}

export const yesNo = (variable: string, fallback: boolean): Setting<boolean> => ({
  variable,
  fallback,
  allowed: "true or false (also: 1, 0, yes, no, on, off)",
  parse: (text) => /^(true|1|yes|on)$/i.test(text) ? true : /^(false|0|no|off)$/i.test(text) ? false : undefined
})

const inRange = (value: number, least: number, most: number) => value >= least && value <= most

export const whole = (variable: string, fallback: number, least: number, most: number): Setting<number> => ({
  variable,
  fallback,
  allowed: `a whole number from ${least} to ${most}`,
  parse: (text) => /^\d+$/.test(text) && inRange(Number(text), least, most) ? Number(text) : undefined
})

export const seconds = (
  variable: string,
  fallback: number,
  least: number,
  most: number
): Setting<Duration.Duration> => ({
  variable,
  fallback: Duration.seconds(fallback),
  allowed: `a number of seconds from ${least} to ${most}`,
  parse: (text) =>
    /^\d+(\.\d+)?$/.test(text) && inRange(Number(text), least, most) ? Duration.seconds(Number(text)) : undefined
})

export const days = (variable: string, fallback: number, least: number, most: number): Setting<Duration.Duration> => ({
  variable,
  fallback: Duration.days(fallback),
  allowed: `a number of days from ${least} to ${most}`,
  parse: (text) =>
    /^\d+(\.\d+)?$/.test(text) && inRange(Number(text), least, most) ? Duration.days(Number(text)) : undefined
})

/** An age in days; `never`, which is endless, unless given. */
export const age = (variable: string): Setting<Duration.Duration> => {
  const inDays = days(variable, 0, 0.0001, 36_500)
  return {
    variable,
    fallback: Duration.infinity,
    allowed: `never, or ${inDays.allowed}`,
    parse: (text) => /^never$/i.test(text) ? Duration.infinity : inDays.parse(text)
  }
}

export const oneOf = <const Word extends string>(
  variable: string,
  fallback: NoInfer<Word>,
  words: ReadonlyArray<Word>
): Setting<Word> => ({
  variable,
  fallback,
  allowed: words.join(" or "),
  parse: (text) => words.find((word) => word === text.toLowerCase())
})

export const read = Effect.fnUntraced(function*<A>(setting: Setting<A>) {
  const { allowed, variable } = setting
  const given = yield* Effect.orDie(Config.option(Config.String(variable)))
  if (Option.isNone(given)) return setting.fallback
  const parsed = setting.parse(given.value.trim())
  return parsed === undefined ? yield* new InvalidSetting({ variable, value: given.value, allowed }) : parsed
})
