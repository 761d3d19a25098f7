/** A command line that cannot be read is answered in one line on stderr, not with a page of help on stdout that a pipe would take for data. */
import * as CliOutput from "effect/cli/CliOutput"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { harmless } from "./table.ts"

/** Suggestions come with line breaks of their own. */
const inOneLine = (text: string) => harmless(text.replaceAll(/\s*\n\s*/g, " ")).trim().slice(0, 500)

export const layerPresenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
        `zakops: ${event.errors.map(({ message }) => inOneLine(message)).join("; ")}; see: ${
          event.commandPath.join(" ")
        } --help`
      )
      : Effect.suspend(() => CliOutput.defaultPresenter.present(event))
})
