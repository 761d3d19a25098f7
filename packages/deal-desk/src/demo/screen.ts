/** Shows live what happens: redraws on a terminal, prints a line a second elsewhere. */
import { OutboxOverview } from "@zakops/outbox"
import type { DeadEntry, Overview, WaitingEntry } from "@zakops/outbox/OutboxOverview"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Notes } from "./Notes.ts"

interface Picture {
  readonly overview: Overview
  readonly perSecond: number
  readonly waiting: ReadonlyArray<WaitingEntry>
  readonly dead: ReadonlyArray<DeadEntry>
  readonly now: number
}

const seconds = (millis: number) => `${(Math.max(0, millis) / 1000).toFixed(1)} s`

const age = ({ oldestPendingAge }: Overview) =>
  Option.match(oldestPendingAge, { onNone: () => "-", onSome: (duration) => seconds(Duration.toMillis(duration)) })

const inOneLine = ({ dead, now, overview, perSecond, waiting }: Picture) => {
  const { delivered, pending, processing } = overview
  const next = waiting[0]
  return `pending ${pending}  processing ${processing}  delivered ${delivered}  dead ${overview.dead}  ` +
    `${perSecond}/s  oldest ${age(overview)}` +
    (next === undefined ? "" : `  retry of ${next.eventType} in ${seconds(next.nextAttemptAt.getTime() - now)}`) +
    (dead[0] === undefined ? "" : `  dead: ${dead[0].eventType}`)
}

const onScreen = (
  title: string,
  { dead, now, overview, perSecond, waiting }: Picture,
  notes: ReadonlyArray<string>
) => {
  const column = (words: string | number) => String(words).padStart(12)
  return [
    title,
    "",
    ["pending", "processing", "delivered", "dead", "per second", "oldest"].map(column).join(""),
    [overview.pending, overview.processing, overview.delivered, overview.dead, perSecond, age(overview)].map(column)
      .join(""),
    "",
    "Waiting for the next attempt",
    ...rows(waiting.map((entry) =>
      `${entry.id}  ${entry.eventType}  ${entry.attempts} of ${entry.maxAttempts}  ` +
      `in ${seconds(entry.nextAttemptAt.getTime() - now)}  ${entry.error}`
    )),
    "",
    "Dead letters",
    ...rows(dead.map((entry) => `${entry.id}  ${entry.eventType}  ${entry.attempts} attempts  ${entry.error}`)),
    "",
    "What happens",
    ...notes.map((note) => `  ${note}`)
  ]
}

const rows = (lines: ReadonlyArray<string>) => lines.length === 0 ? ["  none"] : lines.map((line) => `  ${line}`)

const home = "\u001b[H"
const clearLine = "\u001b[K"
const clearBelow = "\u001b[J"

/** Draws until interrupted. Looks at the database four times a second, once a second where there is no terminal. */
export const show = Effect.fnUntraced(function*(title: string, terminal: boolean) {
  const { dead, overview, waiting } = yield* OutboxOverview
  const notes = yield* Notes
  let before: { readonly at: number; readonly delivered: number } | undefined
  if (terminal) process.stdout.write("\u001b[2J")

  const look = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const counts = yield* overview
    const elapsed = before === undefined ? 0 : (now - before.at) / 1000
    const perSecond = before === undefined || elapsed === 0
      ? 0
      : Math.round((counts.delivered - before.delivered) / elapsed)
    before = { at: now, delivered: counts.delivered }
    const picture = { overview: counts, perSecond, waiting: yield* waiting(5), dead: yield* dead(5), now }
    if (!terminal) {
      process.stdout.write(`${inOneLine(picture)}\n`)
      return
    }
    const width = process.stdout.columns
    const lines = onScreen(title, picture, notes.latest(12)).map((line) => line.slice(0, width) + clearLine)
    process.stdout.write(`${home}${lines.join("\n")}${clearBelow}\n`)
  })
  return yield* look.pipe(
    Effect.catch((error) => notes.tell(`cannot look at the outbox: ${error.message}`)),
    Effect.delay(terminal ? "250 millis" : "1 second"),
    Effect.forever
  )
})
