/**
 * Ends attempts: delivered, waiting for the next one, dead, or handed back. Only for whoever still holds the claim.
 *
 * The fence is the claim's id: a worker whose lease ran out while it was publishing finds that its settle matches no row, and changes
 * nothing. Each statement gives the ids that it settled; the rest were fenced.
 */
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Fact } from "./EntryLifecycle.ts"
import { errorText } from "./errorText.ts"
import type { ClaimedEntry } from "./OutboxEntry.ts"

type Held = Pick<ClaimedEntry, "id" | "claimId">

/** What becomes of a held entry that was not delivered. */
export interface Undelivered {
  readonly entry: Held
  readonly fact: Extract<Fact, { readonly _tag: "RetryScheduled" | "Died" | "HandedBack" | "Parked" }>
}

export const settleDelivered = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(entries: ReadonlyArray<Held>) {
    const time = yield* now
    const ids = entries.map((entry) => entry.id)
    const claims = entries.map((entry) => entry.claimId)
    return yield* sql<{ id: string }>`
      UPDATE ${table.outbox} o SET status = 'delivered', delivered_at = ${time}, claim_id = NULL, lease_until = NULL
      FROM unnest(${ids}::uuid[], ${claims}::uuid[]) AS held (id, claim_id)
      WHERE o.id = held.id AND o.claim_id = held.claim_id AND o.status = 'processing'
      RETURNING o.id`
  })

export const settleUndelivered = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(settlements: ReadonlyArray<Undelivered>) {
    const time = yield* now
    const rows = settlements.map(({ entry, fact }) => ({ id: entry.id, claim_id: entry.claimId, ...toColumns(fact) }))
    return yield* sql<{ id: string }>`
      UPDATE ${table.outbox} o SET
        status = held.status,
        attempts = o.attempts - held.uncharged,
        next_attempt_at = coalesce(${time} + held.wait * interval '1 millisecond', o.next_attempt_at),
        error_message = coalesce(held.error, o.error_message),
        claim_id = NULL,
        lease_until = NULL
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
        AS held (id uuid, claim_id uuid, status varchar, uncharged int, wait float8, error text)
      WHERE o.id = held.id AND o.claim_id = held.claim_id AND o.status = 'processing'
      RETURNING o.id`
  })

// A Schedule may ask for an endless wait; a timestamp cannot hold it.
const longestWait = Duration.toMillis(Duration.days(36_500))

/** The wait as milliseconds that a timestamp can hold. */
export const waitMillis = (wait: Duration.Duration): number => Math.min(Duration.toMillis(wait), longestWait)

const toColumns = (fact: Undelivered["fact"]) => {
  switch (fact._tag) {
    case "RetryScheduled":
      return { status: "pending", uncharged: 0, wait: waitMillis(fact.wait), error: errorText(fact.error) }
    case "Died":
      return { status: "dead", uncharged: 0, wait: null, error: errorText(fact.error) }
    case "Parked":
      return { status: "pending", uncharged: 1, wait: waitMillis(fact.wait), error: errorText(fact.error) }
    case "HandedBack":
      return { status: "pending", uncharged: 1, wait: null, error: null }
  }
}
