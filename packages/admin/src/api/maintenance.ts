/** Deleting what is old, and the work that one process does for all. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access, ReadsOnly } from "./Access.ts"
import { InvalidRequest } from "./errors.ts"
import { Age, Count, JsonText, Time } from "./values.ts"

/** Work that one process does for all. */
export const Task = Schema.Struct({
  name: Schema.String,
  /** Who is at it, as host:pid; null where nobody is. */
  runner: Schema.NullOr(Schema.String),
  finishedAt: Schema.NullOr(Time),
  /** What came of it the last time, as JSON. */
  outcome: Schema.NullOr(JsonText)
})
export type Task = typeof Task.Type

/** What can be purged. `dead`: dead letters that nobody has redriven, which are lost with it. */
export const PurgeKind = Schema.Literals(["delivered", "dead", "discarded", "attempts"])
export type PurgeKind = typeof PurgeKind.Type

const payload = Schema.Struct({ kind: PurgeKind, olderThan: Age })

export class MaintenanceGroup extends HttpApiGroup.make("maintenance")
  .add(
    HttpApiEndpoint.get("tasks", "/tasks", { success: Schema.Array(Task) }),
    /** How many a purge would delete. Deletes nothing. */
    HttpApiEndpoint.post("preview", "/purge/preview", { payload, success: Count, error: InvalidRequest })
      .annotate(ReadsOnly, true),
    /** Deletes what is older, in small batches. */
    HttpApiEndpoint.post("purge", "/purge", {
      payload,
      success: Schema.Struct({ deleted: Schema.Int }),
      error: InvalidRequest
    })
  )
  .middleware(Access)
  .prefix("/api/maintenance")
{}
