/** What the doctor says of one thing that it has looked at. */
import * as Schema from "effect/Schema"

/**
 * `ok`: as it should be. `notice`: worth knowing, nothing has to be done. `warning`: will hurt if it goes on. `serious`: events are not
 * delivered, or are about not to be, or a promise of the product does not hold.
 */
export const Severity = Schema.Literals(["ok", "notice", "warning", "serious"])
export type Severity = typeof Severity.Type

export const Finding = Schema.Struct({
  /** What was looked at: the name of the check. One check may find several things. */
  check: Schema.String,
  severity: Severity,
  /** One line. */
  title: Schema.String,
  /** With figures and names; empty where the title says all. */
  detail: Schema.String,
  /** What to do, ready to be pasted where it is a command or a statement; null where nothing has to be done. */
  fix: Schema.NullOr(Schema.String)
})
export type Finding = typeof Finding.Type

/** The worst that was found. */
export const worst = (findings: ReadonlyArray<Finding>): Severity =>
  Severity.literals.findLast((severity) => findings.some((finding) => finding.severity === severity)) ?? "ok"
