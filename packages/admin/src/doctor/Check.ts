/** What a check of the doctor's is: it reads, changes nothing, and says what it has found. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { Database } from "@zakops/migrations/Database"
import type { Tables } from "@zakops/migrations/SchemaName"
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { DoctorLimitsShape } from "./DoctorLimits.ts"
import type { Finding, Severity } from "./Finding.ts"

/** What is examined. */
export interface Patient {
  readonly db: Database
  readonly client: PgClient
  /** The tables' quoted names, as text. */
  readonly names: Tables
  readonly limits: DoctorLimitsShape
}

export interface Check {
  /** As it stands in each of its findings. */
  readonly name: string
  /** `tables`: asks the product's tables, and is left out while they are missing or too old. */
  readonly needs: "server" | "tables"
  readonly look: (patient: Patient) => Effect.Effect<ReadonlyArray<Finding>, SqlError>
}

/** The one finding of a check that has found nothing wrong. */
export const ok = (check: string, title: string, detail = ""): ReadonlyArray<Finding> => [
  { check, severity: "ok", title, detail, fix: null }
]

export const finding = (
  check: string,
  severity: Exclude<Severity, "ok">,
  title: string,
  detail: string,
  fix: string | null
): Finding => ({ check, severity, title, detail, fix })

/** The findings, or, where there are none, that all is well. */
export const orOk = (findings: ReadonlyArray<Finding>, check: string, title: string, detail = "") =>
  findings.length === 0 ? ok(check, title, detail) : findings

/** Names in one line: the first few, and how many more there are. */
export const some = (names: ReadonlyArray<string>, most = 5): string =>
  names.length <= most ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${names.length - most} more`

/** A name as a word of a command line. */
export const shellWord = (name: string): string =>
  /^[\w./:@-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`

/** A time that has passed, in the largest unit that says enough. */
export const span = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 120) return `${whole} s`
  if (whole < 7200) return `${Math.round(whole / 60)} min`
  return whole < 172_800 ? `${Math.round(whole / 3600)} h` : `${Math.round(whole / 86_400)} days`
}

export const size = (bytes: number): string =>
  bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.round(bytes / 1024 / 1024)} MiB`

/** How many transactions ago, near enough. */
export const transactionsAgo = (age: number): string =>
  age < 1e6 ? `${Math.round(age)} transactions ago` : `${(age / 1e6).toFixed(1)} million transactions ago`
