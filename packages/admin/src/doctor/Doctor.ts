/**
 * Looks a database over and says what is wrong with it and what to do about it.
 *
 * It reads and changes nothing, though it sends itself a notification. It never fails: what cannot be looked at is a finding too. Each
 * check has 10 seconds, and none counts more than it has to, so that it may be run beside work.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import * as Database from "@zakops/migrations/Database"
import type { InvalidSchemaName } from "@zakops/migrations/SchemaName"
import { tables } from "@zakops/migrations/SchemaName"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Check, Patient } from "./Check.ts"
import { finding } from "./Check.ts"
import { cannotBeReached, connection, unreachable } from "./connection.ts"
import { bloat } from "./bloat.ts"
import { clock } from "./clock.ts"
import { deadLetters } from "./deadLetters.ts"
import { delivery } from "./delivery.ts"
import { destinations } from "./destinations.ts"
import { DoctorLimits } from "./DoctorLimits.ts"
import type { Finding } from "./Finding.ts"
import { indexes } from "./indexes.ts"
import { listening } from "./listening.ts"
import { migrated } from "./migrated.ts"
import { prepared } from "./prepared.ts"
import { privileges } from "./privileges.ts"
import { replication } from "./replication.ts"
import { restored } from "./restored.ts"
import { retention } from "./retention.ts"
import { settings } from "./settings.ts"
import { standbys } from "./standbys.ts"
import { subscriptions } from "./subscriptions.ts"
import { transactions } from "./transactions.ts"
import { triggers } from "./triggers.ts"
import { vacuum } from "./vacuum.ts"
import { version } from "./version.ts"

/** What is looked at once the database answers, in the order in which it is told. */
export const checks: ReadonlyArray<Check> = [
  version,
  settings,
  migrated,
  privileges,
  indexes,
  triggers,
  vacuum,
  bloat,
  transactions,
  prepared,
  replication,
  standbys,
  listening,
  clock,
  delivery,
  destinations,
  deadLetters,
  subscriptions,
  restored,
  retention
]

const limit = Duration.seconds(10)

/** A check that the database would not let through. */
const notLooked = (check: string, words: string, state?: string): Finding =>
  finding(
    check,
    "warning",
    "could not be looked at",
    words,
    state === "42501"
      ? "Run the doctor as a user who was granted the worker's or the reader's role: zakops roles"
      : "Run the doctor again; if it stays, look into the server's log"
  )

/** What a check finds, and where it cannot look, that it cannot. */
export const perform = (check: Check, patient: Patient): Effect.Effect<ReadonlyArray<Finding>> =>
  SqlErrors.lostAsFailure(check.look(patient)).pipe(
    Effect.timeoutOption(limit),
    Effect.map(Option.getOrElse(() => [notLooked(check.name, `no answer within ${Duration.format(limit)}`)])),
    Effect.catch((error) =>
      Effect.succeed([
        check === connection
          ? unreachable(error)
          : notLooked(check.name, SqlErrors.serverText(error), SqlErrors.sqlState(error))
      ])
    )
  )

/** What there is to examine, from the context. */
export const patient: Effect.Effect<Patient, InvalidSchemaName, PgClient | SqlClient> = Effect.gen(function*() {
  return { db: yield* Database.make, client: yield* PgClient, names: yield* tables, limits: yield* DoctorLimits }
})

const isSerious = (found: ReadonlyArray<Finding>) => found.some(({ severity }) => severity === "serious")

const examine = Effect.fn("Doctor.examine")(function*(patient: Patient) {
  const found = [...(yield* perform(connection, patient))]
  // Nothing else can be asked of a database that does not answer.
  if (isSerious(found) && found.some(({ title }) => title === cannotBeReached)) return found
  let migrations: ReadonlyArray<Finding> = []
  for (const check of checks) {
    if (check.needs === "tables" && isSerious(migrations)) continue
    const said = yield* perform(check, patient)
    if (check === migrated) migrations = said
    found.push(...said)
  }
  return found
})

export class Doctor extends Context.Service<Doctor, {
  /** Everything that was looked at, also what is as it should be. Where the database cannot be reached, that alone. */
  readonly examine: Effect.Effect<ReadonlyArray<Finding>>
}>()("@zakops/admin/Doctor") {
  static readonly layer: Layer.Layer<Doctor, InvalidSchemaName, PgClient | SqlClient> = Layer.effect(
    Doctor,
    Effect.map(patient, (patient) => Doctor.of({ examine: examine(patient) }))
  )
}
