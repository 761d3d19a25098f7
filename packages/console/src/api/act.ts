/** Does something through the API, and tells what came of it. Gives whether it was done. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { refreshAll } from "../live/refresh.ts"
import { tell } from "../shell/notices.ts"
import type { Client } from "./client.ts"
import { client } from "./client.ts"
import { causeInWords } from "./problem.ts"

/** Everything on the page is asked anew afterwards, whatever came of it. `done` says it in words; the failure speaks for itself. */
export const act = async <A>(
  change: (api: Client) => Effect.Effect<A, unknown>,
  done: (answer: A) => string
): Promise<boolean> => {
  const exit = await Effect.runPromiseExit(change(client))
  if (Exit.isSuccess(exit)) tell(done(exit.value))
  else tell(causeInWords(exit.cause), true)
  refreshAll()
  return Exit.isSuccess(exit)
}
