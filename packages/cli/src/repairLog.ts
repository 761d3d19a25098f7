/** `zakops repair-log`: makes an event log readable again that was restored from a dump into another database server. */
import { repairLog } from "@zakops/event-store/restoredLog"
import * as Database from "@zakops/migrations/Database"
import { checkBy } from "@zakops/outbox/deadLetters/DeadFilter"
import { recordAudit } from "@zakops/outbox/deadLetters/recordAudit"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { by, json, operator } from "./deadFilter.ts"
import { toJson } from "./json.ts"
import { withTime } from "./progress.ts"
import { withTables } from "./withDatabase.ts"

/** With its audit row, in one transaction. Where there was nothing to repair, nothing was done. */
const repair = Effect.fnUntraced(function*(given: string) {
  const by = yield* checkBy(given)
  const db = yield* Database.make
  return yield* db.sql.withTransaction(Effect.gen(function*() {
    const { events } = yield* repairLog
    if (events > 0) yield* recordAudit(db)({ by, action: "repair log", filter: {}, count: events })
    return events
  }))
})

export const command = Command.make(
  "repair-log",
  { by, json },
  (given) =>
    withTables((shown) =>
      Effect.gen(function*() {
        const events = yield* withTime("repairing")(repair(yield* operator(given.by)))
        yield* Console.log(
          given.json
            ? toJson({ repaired: events })
            : events === 0
            ? `the event log in ${shown} belongs to this server: nothing to repair`
            : `${events} events of the log in ${shown} have their place again; subscriptions go on where they stood`
        )
      })
    )
).pipe(
  Command.withDescription(
    "After a dump was restored: give the event log its order in this database server. Locks the log while it runs"
  )
)
