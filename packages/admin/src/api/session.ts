/** Who the API takes you for, and what it lets you do. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access, Role } from "./Access.ts"

export const Session = Schema.Struct({
  /** As the audit names you. */
  name: Schema.String,
  role: Role,
  /** Whether anybody may change anything here. */
  writes: Schema.Boolean,
  /** Whether you may: the role is `operate` and writes are on. */
  mayChange: Schema.Boolean,
  /** Whether fields of events are masked. */
  masked: Schema.Boolean,
  /** The schema of the tables. */
  schema: Schema.String,
  version: Schema.String,
  /** A trace's page elsewhere, with `{traceId}` in it; null where none is set. */
  traceUrl: Schema.NullOr(Schema.String)
})
export type Session = typeof Session.Type

export class SessionGroup extends HttpApiGroup.make("session")
  .add(HttpApiEndpoint.get("get", "/", { success: Session }))
  .middleware(Access)
  .prefix("/api/session")
{}
