/** Whether the event log was restored from a dump of another server: then nobody can read it. */
import { requireThisCluster } from "@zakops/event-store/restoredLog"
import * as Effect from "effect/Effect"
import type { Check } from "./Check.ts"
import { finding, ok } from "./Check.ts"

const name = "event log"

export const restored: Check = {
  name,
  needs: "tables",
  look: ({ db }) =>
    requireThisCluster(db).pipe(
      Effect.as(ok(name, "the event log belongs to this server")),
      Effect.catchTag("RestoredFromDump", ({ message }) =>
        Effect.succeed([
          finding(
            name,
            "serious",
            "the event log was restored from a dump",
            message,
            "Stop everything that writes, then: zakops repair-log"
          )
        ]))
    )
}
