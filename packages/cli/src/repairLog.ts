/** `zakops repair-log`: makes an event log readable again that was restored from a dump into another database server. */
import { repairLog } from "@zakops/event-store/restoredLog"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { withTime } from "./progress.ts"
import { withTables } from "./withDatabase.ts"

const run = withTables((shown) =>
  Effect.gen(function*() {
    const { events } = yield* withTime("repairing")(repairLog)
    yield* Console.log(
      events === 0
        ? `the event log in ${shown} belongs to this server: nothing to repair`
        : `${events} events of the log in ${shown} have their place again; subscriptions go on where they stood`
    )
  })
)

export const command = Command.make("repair-log", {}, () => run).pipe(
  Command.withDescription(
    "After a dump was restored: give the event log its order in this database server. Locks the log while it runs"
  )
)
