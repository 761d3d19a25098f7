/**
 * Delivery to an external publisher: claim and commit, publish with no transaction open, settle by claim.
 *
 * At least once, and one after another for each ordering key.
 */
import { deliverBatch } from "./deliverBatch.ts"
import { deliverContinually } from "./deliverContinually.ts"
import { externalMeans } from "./externalMeans.ts"

export const make = (...given: Parameters<typeof externalMeans>) => {
  const means = externalMeans(...given)
  return { runOnce: deliverBatch(means), ...deliverContinually(means) }
}
