/**
 * Who may ask: the bearer token, the roles, and what is refused before an endpoint is reached.
 *
 * An endpoint that is not a GET changes something, and needs the role `operate` and writes switched on, unless it is annotated to read
 * only.
 */
import * as Context from "effect/Context"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as Schema from "effect/Schema"
import * as Errors from "./errors.ts"

/** `read` looks; `operate` also changes. */
export const Role = Schema.Literals(["read", "operate"])
export type Role = typeof Role.Type

/** Who asks, as the audit will name them. */
export interface OperatorIdentity {
  readonly name: string
  readonly role: Role
}

/** Who makes the request that is being answered. */
export class Operator extends Context.Service<Operator, OperatorIdentity>()("@zakops/admin/Operator") {}

/** Annotates an endpoint that changes nothing although its method would say so. */
export const ReadsOnly = Context.Reference<boolean>("@zakops/admin/ReadsOnly", { defaultValue: () => false })

/** Every endpoint stands behind it. */
export class Access extends HttpApiMiddleware.Service<Access, { provides: Operator }>()("@zakops/admin/Access", {
  security: { token: HttpApiSecurity.bearer },
  error: [
    Errors.Unauthorized,
    Errors.Forbidden,
    Errors.WritesOff,
    Errors.NotThisSite,
    Errors.TooManyRequests,
    Errors.Unavailable
  ]
}) {}

/** Gives a body to what does not fit the contract, and to defects. Every endpoint stands behind it. */
export class Checked extends HttpApiMiddleware.Service<Checked>()("@zakops/admin/Checked", {
  error: [Errors.InvalidRequest, Errors.InternalError]
}) {}
