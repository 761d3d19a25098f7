/** Whether what is due is delivered: the oldest entry that waits, and claims whose worker is gone. */
import * as Effect from "effect/Effect"
import type { Check, Patient } from "./Check.ts"
import { finding, orOk, span } from "./Check.ts"
import type { Finding } from "./Finding.ts"

const name = "delivery"

/** How many are looked at from the front of each index: more than workers hold at once. */
const front = 2000

/**
 * Destinations with due entries or leases that have run out, at the front of the indexes outbox_due, outbox_due_keyed and their routed
 * twins; without those that are paused. destination: null for the main one.
 */
const waiting = Effect.fnUntraced(function*({ db: { now, sql, table }, limits }: Patient) {
  const time = yield* now
  const part = (keyed: boolean, routed: boolean) =>
    sql`(SELECT destination, status, lease_until, created_at, next_attempt_at, event_type FROM ${table.outbox}
      WHERE NOT finished AND waits_for IS NULL AND ${
      sql.literal(keyed ? "ordering_key IS NOT NULL" : "ordering_key IS NULL")
    }
        AND ${sql.literal(routed ? "destination IS NOT NULL" : "destination IS NULL")}
        AND coalesce(next_attempt_at, '-infinity'::timestamptz) <= ${time}
      ORDER BY ${
      sql.literal(routed ? "destination, " : "")
    } coalesce(next_attempt_at, '-infinity'::timestamptz), seq LIMIT ${front}::int)`
  return yield* sql<{ destination: string | null; waits: number | null; expired: number }>`
    WITH due AS (${part(false, false)} UNION ALL ${part(true, false)} UNION ALL ${part(false, true)} UNION ALL ${
    part(true, true)
  })
    SELECT destination,
      max(extract(epoch FROM ${time} - greatest(coalesce(next_attempt_at, created_at), '1970-01-01'::timestamptz)))
        FILTER (WHERE status IS DISTINCT FROM 'processing')::float8 AS waits,
      (count(*) FILTER (WHERE status = 'processing' AND coalesce(lease_until, '-infinity')
        < ${time} - ${limits.waitingSeconds}::float8 * interval '1 second'))::int AS expired
    FROM due
    WHERE NOT EXISTS (SELECT FROM ${table.flow} f WHERE f.paused_at IS NOT NULL
      AND (f.kind = 'type' AND f.name = coalesce(due.event_type, '') OR f.kind = 'destination' AND f.name = due.destination))
    GROUP BY destination ORDER BY destination NULLS FIRST`
})

export const delivery: Check = {
  name,
  needs: "tables",
  look: Effect.fnUntraced(function*(patient) {
    const { db: { now, sql, table }, limits } = patient
    const time = yield* now
    const workers = yield* sql<{ destination: string }>`
      SELECT DISTINCT destination FROM ${table.workers} WHERE seen_at > ${time} - interval '30 seconds'`
    const [pause] = yield* sql<{ paused: boolean }>`
      SELECT EXISTS (SELECT FROM ${table.flow} WHERE kind = 'destination' AND paused_at IS NOT NULL) AS paused`
    const found: Array<Finding> = []
    for (const { destination, expired, waits } of yield* waiting(patient)) {
      const to = destination === null ? "" : ` for ${destination}`
      const alive = destination === null
        ? workers.length > 0
        : workers.some((worker) => worker.destination === destination)
      if (waits !== null && waits > limits.waitingSeconds) {
        // The name by which the main destination is paused is its publisher's, which only workers know.
        const held = destination === null && pause?.paused === true
        found.push(finding(
          name,
          alive || held ? "warning" : "serious",
          `entries${to} are due and not delivered for ${span(waits)}`,
          held
            ? "a destination is paused"
            : alive
            ? "workers are there, and do not keep up, or their destination is down"
            : "no worker has reported itself within 30 s",
          held
            ? "zakops status shows what is paused; zakops resume --destination NAME"
            : alive
            ? "Start more workers (zakops worker), raise OUTBOX_CONCURRENCY, or look after the destination: zakops status"
            : destination === null
            ? "Start a worker: zakops worker, or a program with OutboxLive and OUTBOX_PROCESSOR_ENABLED=true"
            : `Start the program whose routes have ${destination}`
        ))
      }
      if (expired > 0) {
        found.push(finding(
          name,
          alive ? "warning" : "serious",
          `claims${to} of workers that are gone are not taken over`,
          `${expired} entries, their leases have run out more than ${span(limits.waitingSeconds)} ago`,
          "Start a worker: it takes them over at once (zakops worker)"
        ))
      }
    }
    return orOk(
      found,
      name,
      "nothing that is due waits for long",
      workers.length === 0 ? "no worker runs at the moment" : ""
    )
  })
}
