/** Ends a failed attempt on an entry that the open transaction has locked. */
import type { Database } from "@zakops/migrations/Database"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { waitMillis } from "./settleEntries.ts"
import { createdAt, oneMoreAttempt } from "../claiming/storedValues.ts"
import { workerName } from "./worker.ts"

type Settlement =
  | { readonly status: "pending"; readonly wait: Duration.Duration; readonly error: string }
  | { readonly status: "dead"; readonly error: string }

/** Charges the attempt, and leaves its line in the history. The row lock is the fence: no claim is looked at. */
export const settleFailedInPlace = (db: Database, destination: string) =>
  Effect.fnUntraced(function*(id: string, settlement: Settlement) {
    const { now, sql, table } = db
    const time = yield* now
    const wait = settlement.status === "pending" ? waitMillis(settlement.wait) : null
    const dead = settlement.status === "dead"
    yield* sql`
      WITH settled AS (
        UPDATE ${table.outbox} o SET
          status = ${settlement.status},
          attempts = ${sql.literal(oneMoreAttempt)},
          last_attempt_at = ${time},
          next_attempt_at = coalesce(${time} + ${wait}::float8 * interval '1 millisecond', next_attempt_at),
          created_at = ${createdAt(db, time)},
          error_message = ${settlement.error},
          blocks = ${dead}::boolean AND ordering_key IS NOT NULL AND on_dead IS DISTINCT FROM 'skip',
          died_at = CASE WHEN ${dead}::boolean THEN ${time} END,
          waits_for = NULL,
          claim_id = NULL,
          lease_until = NULL
        WHERE id = ${id}::uuid
        RETURNING attempts, trace_id
      )
      INSERT INTO ${table.outboxAttempts} (entry_id, attempt, destination, worker, started_at, ended_at, outcome, error, trace_id)
      SELECT ${id}::uuid, attempts, ${destination}, ${workerName}, ${time}, ${time}, 'failed', ${settlement.error}, trace_id
      FROM settled`
  })
