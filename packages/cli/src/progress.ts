/**
 * A bar on stderr while something long is done: only on a terminal, and gone when it is done, so that neither output nor logs have it.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { age } from "./table.ts"

const width = 30

/** One line: `redriving [#####.....] 1,200 of 5,000`; without the total where that was counted up to a limit only, and is passed. */
export const drawBar = (label: string, done: number, total: number): string => {
  const filled = total <= 0 ? 0 : Math.min(width, Math.floor(done / total * width))
  const numbers = `${done.toLocaleString("en-US")}${done > total ? "" : ` of ${total.toLocaleString("en-US")}`}`
  return `${label} [${"#".repeat(filled)}${".".repeat(width - filled)}] ${numbers}`
}

/** Whether anything is drawn: on a terminal. */
export const isDrawn = () => process.stderr.isTTY === true

const write = (text: string) => Effect.sync(() => process.stderr.write(text))
const clear = write("\r\u001b[K")

/** As `self`, with a line beside it that is drawn anew at each interval, and left as it is where it cannot be drawn. */
const withLine =
  <E2, R2>(line: Effect.Effect<string, E2, R2>, interval: Duration.Input) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | R2> => {
    if (!isDrawn()) return self
    const draw = Effect.ignore(Effect.flatMap(line, (text) => write(`\r${text}\u001b[K`)))
    const drawing = Effect.forever(Effect.andThen(draw, Effect.sleep(interval)))
    return Effect.raceFirst(self, drawing).pipe(Effect.ensuring(clear))
  }

interface Done {
  readonly label: string
  readonly done: number
  readonly total: number
}

/** As `self`, with the bar beside it. `read` says how far what is; it is asked four times a second, and may fail. */
export const withBar = <E2, R2>(read: Effect.Effect<Done, E2, R2>) =>
  withLine(Effect.map(read, ({ done, label, total }) => drawBar(label, done, total)), "250 millis")

/** As `self`, with the time that it has taken so far: for what is one statement or transaction, of which nobody sees how far it is. */
export const withTime = (label: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (started) =>
      withLine(Effect.map(Clock.currentTimeMillis, (now) => `${label}, ${age(now - started)}`), "1 second")(self)
  )
