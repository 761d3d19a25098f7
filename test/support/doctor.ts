/** One check of the doctor's, over the database of the context. */
import type { Check } from "@zakops/admin/doctor/Check"
import { patient, perform } from "@zakops/admin/doctor/Doctor"
import type { DoctorLimitsShape } from "@zakops/admin/doctor/DoctorLimits"
import { DoctorLimits } from "@zakops/admin/doctor/DoctorLimits"
import type { Finding } from "@zakops/admin/doctor/Finding"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

/** What the check finds, with some limits other than the usual ones. */
export const look = (check: Check, limits: Partial<DoctorLimitsShape> = {}) =>
  Effect.gen(function*() {
    const usual = yield* DoctorLimits
    return yield* Effect.flatMap(Effect.provideService(patient, DoctorLimits, { ...usual, ...limits }), (patient) =>
      perform(check, patient))
  })

/** Severity and title of each, in a line. */
export const lines = (found: ReadonlyArray<Finding>) => found.map(({ severity, title }) => `${severity}: ${title}`)

/** With these variables and no others. */
export const withVariables = (variables: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(variables))
