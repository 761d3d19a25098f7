/** What came of the two ways of events in shadow mode. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest } from "./errors.ts"
import { Id, Time } from "./values.ts"

/** Events of one type, each counted under one name. */
export const TypeReport = Schema.Struct({
  eventType: Schema.String,
  matched: Schema.Int,
  different: Schema.Int,
  onlyDirect: Schema.Int,
  onlyOutbox: Schema.Int,
  waiting: Schema.Int,
  dead: Schema.Int,
  neither: Schema.Int,
  /** The first ids of each but `matched`, at most 5. */
  firstIds: Schema.Record(Schema.String, Schema.Array(Id))
})
export type TypeReport = typeof TypeReport.Type

export class RolloutGroup extends HttpApiGroup.make("rollout")
  .add(
    /** Events that went either way at `since` or later and before `until`. */
    HttpApiEndpoint.get("report", "/", {
      query: { since: Schema.optional(Time), until: Schema.optional(Time) },
      success: Schema.Array(TypeReport),
      error: InvalidRequest
    })
  )
  .middleware(Access)
  .prefix("/api/rollout")
{}
