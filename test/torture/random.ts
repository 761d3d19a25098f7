/** Chance that repeats itself: the same seed and name give the same row of choices. */

export interface Random {
  /** From 0 up to, but not including, 1. */
  readonly next: () => number
  readonly chance: (probability: number) => boolean
  readonly between: (least: number, most: number) => number
  /** From 0 up to, but not including, `count`. */
  readonly below: (count: number) => number
  readonly uuid: () => string
}

/** Mulberry32: small, and good enough for choosing victims. */
const mulberry = (seed: number) => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const hash = (text: string) => {
  let value = 2_166_136_261
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 16_777_619)
  return value
}

/** @param name who chooses: processes that share a seed make choices of their own */
export const seeded = (seed: number, name: string): Random => {
  const next = mulberry(seed ^ hash(name))
  const below = (count: number) => Math.floor(next() * count)
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    between: (least, most) => least + next() * (most - least),
    uuid: () => {
      const digits = Array.from({ length: 32 }, () => below(16).toString(16))
      digits[12] = "4"
      digits[16] = "89ab"[below(4)] ?? "8"
      return digits.join("").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
    }
  }
}
