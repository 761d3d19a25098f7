/** Ends a failed attempt on an entry that the open transaction has locked. */
import type { Database } from "@zakops/migrations/Database"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { waitMillis } from "./settleEntries.ts"

type Settlement =
  | { readonly status: "pending"; readonly wait: Duration.Duration; readonly error: string }
  | { readonly status: "dead"; readonly error: string }

/** Charges the attempt. The row lock is the fence: no claim is looked at. */
export const settleFailedInPlace = ({ now, sql, table }: Database) =>
  Effect.fnUntraced(function*(id: string, settlement: Settlement) {
    const time = yield* now
    const wait = settlement.status === "pending" ? waitMillis(settlement.wait) : null
    yield* sql`
      UPDATE ${table.outbox} SET
        status = ${settlement.status},
        attempts = coalesce(attempts, 0) + 1,
        last_attempt_at = ${time},
        next_attempt_at = coalesce(${time} + ${wait}::float8 * interval '1 millisecond', next_attempt_at),
        created_at = coalesce(created_at, ${time}),
        error_message = ${settlement.error},
        claim_id = NULL,
        lease_until = NULL
      WHERE id = ${id}::uuid`
  })
