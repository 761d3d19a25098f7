/** Ordering keys that a dead entry holds up. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { InvalidRequest, NotBlocked } from "./errors.ts"
import { Id, pageOf, paging, Text, Time } from "./values.ts"

export const BlockedKey = Schema.Struct({
  key: Schema.String,
  /** The dead entry at its head. */
  headId: Id,
  eventType: Schema.String,
  error: Schema.String,
  since: Schema.NullOr(Time),
  /** How many entries wait behind it, counted up to 1,000. */
  waiting: Schema.Int
})
export type BlockedKey = typeof BlockedKey.Type

const payload = Schema.Struct({ key: Text(10_000) })

export class KeysGroup extends HttpApiGroup.make("keys")
  .add(
    /** Those whose first dead entry was written earliest come first. */
    HttpApiEndpoint.get("blocked", "/blocked", {
      query: paging,
      success: pageOf(BlockedKey),
      error: InvalidRequest
    }),
    /** The key goes on without what is dead, which stays a dead letter. Gives the ids. */
    HttpApiEndpoint.post("unblock", "/unblock", {
      payload,
      success: Schema.Struct({ unblocked: Schema.Array(Id) }),
      error: [InvalidRequest, NotBlocked]
    }),
    /** Gives up the entry that holds up the key, and gives its id. */
    HttpApiEndpoint.post("discardHead", "/discard-head", {
      payload,
      success: Schema.Struct({ discarded: Id }),
      error: [InvalidRequest, NotBlocked]
    })
  )
  .middleware(Access)
  .prefix("/api/keys")
{}
