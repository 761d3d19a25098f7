/** What the doctor finds, and how to put it right. */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { Access } from "./Access.ts"
import { Time } from "./values.ts"

export const Severity = Schema.Literals(["ok", "notice", "warning", "serious"])

export const Finding = Schema.Struct({
  check: Schema.String,
  severity: Severity,
  title: Schema.String,
  detail: Schema.String,
  /** What to do about it; null where there is nothing to do. */
  fix: Schema.NullOr(Schema.String)
})
export type Finding = typeof Finding.Type

/** Findings, and when they were made: at most a minute ago, or five where nobody has asked for long. */
export const Examination = Schema.Struct({ at: Time, findings: Schema.Array(Finding) })
export type Examination = typeof Examination.Type

export class DoctorGroup extends HttpApiGroup.make("doctor")
  .add(HttpApiEndpoint.get("examine", "/", { success: Examination }))
  .middleware(Access)
  .prefix("/api/doctor")
{}
