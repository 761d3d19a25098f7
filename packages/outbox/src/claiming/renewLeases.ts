/** Keeps entries that are still being published from being taken over. */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ClaimedEntry } from "./OutboxEntry.ts"

/**
 * Lets the lease of each entry run from now on again, and gives the claims. Those whose claim is gone stay as they are, and those that are
 * being settled are passed over: waiting for them could be a deadlock.
 */
export const renewLeases = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entries: ReadonlyArray<Pick<ClaimedEntry, "id" | "claimId">>, lease: Duration.Duration) {
    if (entries.length === 0) return []
    const time = yield* now
    const ids = entries.map((entry) => entry.id)
    const claims = entries.map((entry) => entry.claimId)
    const millis = Duration.toMillis(lease)
    return yield* sql<Pick<ClaimedEntry, "id" | "claimId">>`
      WITH held AS MATERIALIZED (
        SELECT o.ctid FROM unnest(${ids}::uuid[], ${claims}::uuid[]) AS held (id, claim_id)
        JOIN ${table.outbox} o ON o.id = held.id AND o.claim_id = held.claim_id AND o.status = 'processing'
        FOR UPDATE OF o SKIP LOCKED
      )
      UPDATE ${table.outbox} o SET lease_until = ${time} + ${millis}::float8 * interval '1 millisecond'
      WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM held))
      RETURNING o.id, o.claim_id AS "claimId"`
  })
