/** What the demo tells its viewer: the steps of the scenario and what the services log, as lines. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

export class Notes extends Context.Service<Notes, {
  readonly tell: (line: string) => Effect.Effect<void>
  /** The latest lines, oldest first. */
  readonly latest: (count: number) => ReadonlyArray<string>
}>()("@zakops/deal-desk/Notes") {}

const kept = 50

/** Keeps the lines for the screen where there is one, prints them elsewhere. The services' logs go the same way. */
export const layerNotes = (onScreen: boolean) => {
  const lines: Array<string> = []
  const add = (line: string) => {
    if (onScreen) {
      lines.push(line)
      lines.splice(0, lines.length - kept)
    } else {
      process.stdout.write(`${line}\n`)
    }
  }
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    const words = Array.isArray(message)
      ? message.filter((part) => typeof part === "string").join(" ")
      : String(message)
    add(`  ${logLevel.toLowerCase()}: ${words}`)
  })
  return Layer.merge(
    Layer.succeed(Notes, {
      tell: (line) => Effect.sync(() => add(line)),
      latest: (count) => lines.slice(-count)
    }),
    Logger.layer([logger])
  )
}
