/**
 * Ends attempts: delivered, waiting for the next one, dead, or handed back. Only for whoever still holds the claim.
 *
 * The fence is the claim's id: a worker whose lease ran out while it was publishing finds that its settle matches no row, and changes
 * nothing. Each statement gives the ids that it settled; the rest were fenced. What did not deliver leaves a line in the history, in the
 * same statement; when entries of a key are out of the way, the next one comes forward, in the same transaction.
 */
import { Measured } from "@zakops/events/Tracing"
import type { Database } from "@zakops/migrations/Database"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import type { Outcome } from "./AttemptOutcome.ts"
import type { Fact } from "../EntryLifecycle.ts"
import { errorText } from "./errorText.ts"
import { goneOf, letForward } from "../claiming/orderingKeys.ts"
import type { ClaimedEntry } from "../claiming/OutboxEntry.ts"
import type { Pair, Routing } from "../routing/Routing.ts"
import { wantedBy } from "../routing/Routing.ts"
import { keepText } from "../connecting/keptText.ts"
import { routePairs } from "../routing/routedEntries.ts"
import type { Lane } from "./Lane.ts"

export type Held = Pick<
  ClaimedEntry,
  "id" | "claimId" | "attempts" | "orderingKey" | "seq" | "worker" | "startedAt" | "traceId"
>

/** What is delivered also has to be shown to routes. */
export type HeldEvent = Held & Pick<ClaimedEntry, "eventType" | "envelope" | "shadow">

/** A worker may hold an entry by two claims: one that has run out, and the one by which it has taken the entry over from itself. */
export type Claim = Pick<ClaimedEntry, "id" | "claimId">

interface Settled extends Claim {
  /** Seconds from the writing of the event; only where durations are measured. */
  readonly latency?: number | undefined
}

export const nameOf = ({ claimId, id }: Claim): string => `${claimId} ${id}`

/** What becomes of a held entry that was not delivered. `outcome` is for the history: undefined where there is nothing to tell. */
export interface Undelivered {
  readonly entry: Held
  readonly fact: Extract<Fact, { readonly _tag: "RetryScheduled" | "Died" | "HandedBack" | "Parked" }>
  readonly outcome: Outcome | undefined
  /** Why, where the entry itself is not told. */
  readonly reason?: string | undefined
}

/** With a routing, what the routes want is made of the entries in the same statement. Announces it after the commit. */
export const settleDelivered = (db: Database, { routing, tally }: Lane) => {
  const { now, sql, table } = db
  const freeing = thenLetForward(db)
  const kept = keepText(db)
  return (entries: ReadonlyArray<HeldEvent>): Effect.Effect<ReadonlyArray<Settled>, SqlError> =>
    freeing<ReadonlyArray<Settled>>(
      entries,
      Effect.gen(function*() {
        const pairs = routing === undefined ? [] : yield* pairsOf(routing, entries)
        const time = yield* now
        const ids = entries.map((entry) => entry.id)
        const claims = entries.map((entry) => entry.claimId)
        const measured = yield* Measured
        const wanted = pairs.length > 0
        // Nearly always all are settled: then there is no row to be sent and read for each.
        const rows = yield* kept.rows(sql<Missing>`
          WITH held AS MATERIALIZED (SELECT * FROM unnest(${ids}::uuid[], ${claims}::uuid[]) AS held (id, claim_id)),
          settled AS (
            UPDATE ${table.outbox} o SET status = 'delivered', delivered_at = ${time}, claim_id = NULL, lease_until = NULL,
              blocks = false, waits_for = NULL
            FROM held WHERE o.id = held.id AND o.claim_id = held.claim_id AND o.status = 'processing'
            RETURNING ${sql.literal(wanted ? "o.*" : "o.id")}, held.claim_id AS held_by
          ),
          routed AS (${
          wanted ? routePairs(db, pairs, sql.literal("settled"), time) : sql.literal("SELECT WHERE false")
        }),
          missing AS (SELECT id, claim_id FROM held EXCEPT ALL SELECT id, held_by FROM settled)
          SELECT missing.id, missing.claim_id AS "claimId", done.at, (SELECT count(*)::int FROM routed) AS routed
          FROM (SELECT ${time} AS at) AS done LEFT JOIN missing ON true`)
        const { at, routed = 0 } = rows[0] ?? {}
        if (routed > 0 && routing !== undefined) {
          yield* sql.afterCommit(Effect.andThen(tally.routed(routed), routing.announce))
        }
        const settled = without(entries, rows.flatMap(({ claimId, id }) => id === null ? [] : [{ claimId, id }]))
        return measured && at !== undefined
          ? settled.map((entry) => ({ ...entry, latency: latencyOf(entry, at) }))
          : settled
      })
    )
}

/** Seconds from the writing of the event. */
const latencyOf = ({ envelope }: HeldEvent, at: Date): number | undefined =>
  Result.isSuccess(envelope) ? (at.getTime() - envelope.success.createdAt.getTime()) / 1000 : undefined

/** One row with no id where none is missing. */
interface Missing {
  readonly id: string | null
  readonly claimId: string
  readonly at: Date
  readonly routed: number
}

const without = <C extends Claim>(entries: ReadonlyArray<C>, missing: ReadonlyArray<Claim>): ReadonlyArray<C> => {
  if (missing.length === 0) return entries
  const names = new Set(missing.map(nameOf))
  return entries.filter((entry) => !names.has(nameOf(entry)))
}

const pairsOf = ({ routes }: Routing, entries: ReadonlyArray<HeldEvent>) =>
  Effect.gen(function*() {
    const pairs: Array<Pair> = []
    for (const { envelope, eventType, id, shadow } of entries) {
      if (shadow) continue
      for (const destination of yield* wantedBy(routes, eventType, envelope)) pairs.push({ id, destination })
    }
    return pairs
  })

export const settleUndelivered = (db: Database, destination: string) => {
  const { now, sql, table } = db
  const freeing = thenLetForward(db)
  return (settlements: ReadonlyArray<Undelivered>) =>
    freeing(
      settlements.flatMap(({ entry, fact }) => fact._tag === "Died" ? [entry] : []),
      Effect.gen(function*() {
        const time = yield* now
        return yield* sql<Claim>`
          WITH held AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(${JSON.stringify(settlements.map(toRow))}::jsonb)
              AS held (id uuid, claim_id uuid, status varchar, uncharged int, wait float8, error text, reason text, ${
          historyColumns(db)
        })
          ),
          settled AS (
            UPDATE ${table.outbox} o SET
              status = held.status,
              attempts = o.attempts - held.uncharged,
              next_attempt_at = coalesce(${time} + held.wait * interval '1 millisecond', o.next_attempt_at),
              error_message = coalesce(held.error, o.error_message),
              crashes = o.crashes + CASE WHEN held.outcome = 'lease_expired' AND o.crashes < 2147483647 THEN 1 ELSE 0 END,
              blocks = held.status = 'dead' AND o.ordering_key IS NOT NULL AND o.on_dead IS DISTINCT FROM 'skip',
              died_at = CASE WHEN held.status = 'dead' THEN ${time} END,
              claim_id = NULL,
              lease_until = NULL
            FROM held
            WHERE o.id = held.id AND o.claim_id = held.claim_id AND o.status = 'processing'
            RETURNING o.id, held.claim_id
          ),
          history AS (
            INSERT INTO ${table.outboxAttempts} (entry_id, attempt, destination, worker, started_at, ended_at, outcome, error, trace_id)
            SELECT held.id, held.attempt, ${destination}, held.worker, held.started_at, ${time},
              CASE WHEN settled.id IS NULL THEN 'fenced' ELSE held.outcome END, coalesce(held.error, held.reason), held.trace_id
            FROM held LEFT JOIN settled USING (id, claim_id) WHERE held.outcome IS NOT NULL
          )
          SELECT id, claim_id AS "claimId" FROM settled`
      })
    )
}

/**
 * Leaves a line in the history for deliveries that somebody else has settled, and gives their ids: not those that this worker has settled
 * itself, by a statement whose answer was lost. (The time of the claim, to the millisecond as this process knows it: where a crash of the
 * server has forgotten one, the next has the same number.)
 */
export const noteFenced = (db: Database, destination: string) => {
  const { now, sql, table } = db
  return Effect.fnUntraced(function*(entries: ReadonlyArray<Held>) {
    const time = yield* now
    return yield* sql<{ id: string }>`
      INSERT INTO ${table.outboxAttempts} (entry_id, attempt, destination, worker, started_at, ended_at, outcome, trace_id)
      SELECT id, attempt, ${destination}, worker, started_at, ${time}, 'fenced', trace_id
      FROM jsonb_to_recordset(${JSON.stringify(entries.map((entry) => ({ id: entry.id, ...toHistory(entry) })))}::jsonb)
        AS fenced (id uuid, ${historyColumns(db)})
      WHERE NOT EXISTS (
        SELECT FROM ${table.outbox} o
        WHERE o.id = fenced.id AND o.status = 'delivered' AND o.claimed_by = fenced.worker AND o.attempts = fenced.attempt
          AND date_trunc('milliseconds', o.last_attempt_at) = fenced.started_at
      )
      RETURNING entry_id AS id`
  })
}

/** Runs `settle` alone, or together with letting the entries' keys go on, where they have any. */
const thenLetForward = (db: Database) => {
  const forward = letForward(db)
  return <A>(entries: ReadonlyArray<Held>, settle: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> => {
    const gone = goneOf(entries)
    return gone.length === 0 ? settle : db.sql.withTransaction(Effect.tap(settle, forward(gone)))
  }
}

// A Schedule may ask for an endless wait; a timestamp cannot hold it.
const longestWait = Duration.toMillis(Duration.days(36_500))

/** The wait as milliseconds that a timestamp can hold. */
export const waitMillis = (wait: Duration.Duration): number => Math.min(Duration.toMillis(wait), longestWait)

const historyColumns = ({ sql }: Database) =>
  sql.literal("attempt int, worker text, started_at timestamptz, outcome varchar, trace_id uuid")

const toHistory = ({ attempts, startedAt, traceId, worker }: Held) => ({
  attempt: attempts,
  worker,
  started_at: startedAt,
  trace_id: traceId
})

const toRow = (undelivered: Undelivered) => {
  const { entry, outcome, reason } = undelivered
  return {
    id: entry.id,
    claim_id: entry.claimId,
    ...toColumns(undelivered),
    ...toHistory(entry),
    outcome,
    reason: reason === undefined ? null : errorText(reason)
  }
}

const toColumns = ({ fact, outcome }: Undelivered) => {
  switch (fact._tag) {
    case "RetryScheduled":
      return { status: "pending", uncharged: 0, wait: waitMillis(fact.wait), error: errorText(fact.error) }
    case "Died":
      return {
        status: "dead",
        uncharged: outcome === "deadline_passed" ? 1 : 0,
        wait: null,
        error: errorText(fact.error)
      }
    case "Parked":
      return { status: "pending", uncharged: 1, wait: waitMillis(fact.wait), error: errorText(fact.error) }
    case "HandedBack":
      return { status: "pending", uncharged: 1, wait: null, error: null }
  }
}
