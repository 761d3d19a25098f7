/**
 * Delivery to an external publisher: claim and commit, publish with no transaction open, settle by claim.
 *
 * At least once, and one after another for each ordering key.
 */
import type { External } from "@zakops/events/EventPublisher"
import type { RetrySchedule } from "@zakops/events/RetrySchedule"
import type { Database } from "@zakops/migrations/Database"
import type { Limits } from "../DeliveryLimits.ts"
import type { OutboxSettings } from "../OutboxConfig.ts"
import { deliverBatch } from "./deliverBatch.ts"
import type { DeliveryVitals } from "./deliverContinually.ts"
import { deliverContinually } from "./deliverContinually.ts"
import { externalMeans } from "./externalMeans.ts"
import type { Lane } from "./Lane.ts"

export const make = (
  db: Database,
  publisher: External,
  settings: OutboxSettings,
  policy: RetrySchedule,
  limits: Limits,
  lane: Lane
) => {
  const means = externalMeans(db, publisher, settings, policy, limits, lane)
  let vitals: () => DeliveryVitals = () => ({ breaker: "closed", holding: 0 })
  return {
    runOnce: deliverBatch(means),
    start: deliverContinually(means, (told) => {
      vitals = told
    }),
    vitals: () => vitals()
  }
}
