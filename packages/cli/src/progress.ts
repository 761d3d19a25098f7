/**
 * A bar on stderr while something long is done: only on a terminal, and gone when it is done, so that neither output nor logs have it.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import { age } from "./table.ts"

const width = 30

/** One line: `redriving [#####.....] 1,200 of 5,000`; without the total where that was counted up to a limit only, and is passed. */
export const drawBar = (label: string, done: number, total: number): string => {
  const filled = total <= 0 ? 0 : Math.min(width, Math.floor(done / total * width))
  const numbers = `${done.toLocaleString("en-US")}${done > total ? "" : ` of ${total.toLocaleString("en-US")}`}`
  return `${label} [${"#".repeat(filled)}${".".repeat(width - filled)}] ${numbers}`
}

const write = (text: string) => Effect.sync(() => process.stderr.write(text))
const clear = write("\r\u001b[K")

/** As `self`, with the bar beside it. `done` says how many are; it is asked four times a second, and may fail. */
export const withBar =
  (label: string, total: number, done: Effect.Effect<number, SqlError>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    if (process.stderr.isTTY !== true) return self
    const draw = Effect.gen(function*() {
      const count = yield* Effect.option(done)
      yield* write(`\r${drawBar(label, Option.getOrElse(count, () => 0), total)}\u001b[K`)
      yield* Effect.sleep("250 millis")
    })
    return Effect.raceFirst(self, Effect.forever(draw)).pipe(Effect.ensuring(clear))
  }

/** As `self`, with the time that it has taken so far: for what is one statement or transaction, of which nobody sees how far it is. */
export const withTime = (label: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  if (process.stderr.isTTY !== true) return self
  const draw = (started: number) =>
    Effect.gen(function*() {
      yield* Effect.sleep("1 second")
      yield* write(`\r${label}, ${age(Date.now() - started)}\u001b[K`)
    })
  return Effect.suspend(() => Effect.raceFirst(self, Effect.forever(draw(Date.now())))).pipe(Effect.ensuring(clear))
}
