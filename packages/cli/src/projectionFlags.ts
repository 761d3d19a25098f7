/** Which projection is meant. */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"

export const name = Argument.String("name").pipe(Argument.withDescription("The projection's name"))
export const version = Flag.Int("version").pipe(
  Flag.optional,
  Flag.withDescription("Which version; the live one if it is not given")
)
