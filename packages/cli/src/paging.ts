/** The flags of a list that has pages. */
import * as Flag from "effect/cli/Flag"

export const limit = Flag.Int("limit").pipe(
  Flag.withDefault(20),
  Flag.withDescription("How many, 1 to 500; 20 if not given")
)
export const after = Flag.String("after").pipe(Flag.optional, Flag.withDescription("Where the page before has ended"))
