/** Who has changed what by hand. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest } from "./errors.ts"
import { Big, JsonText, pageOf, paging, Text, Time } from "./values.ts"

export const Deed = Schema.Struct({
  id: Big,
  at: Time,
  by: Schema.String,
  action: Schema.String,
  /** What it was done to, as JSON. */
  filter: JsonText,
  /** To how many. */
  count: Big
})
export type Deed = typeof Deed.Type

export class AuditGroup extends HttpApiGroup.make("audit")
  .add(
    /** Latest first. */
    HttpApiEndpoint.get("list", "/", {
      query: { by: Schema.optional(Text(500)), action: Schema.optional(Text(30)), ...paging },
      success: pageOf(Deed),
      error: InvalidRequest
    })
  )
  .middleware(Access)
  .prefix("/api/audit")
{}
