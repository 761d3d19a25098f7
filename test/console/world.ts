/**
 * A database in which everything is to be seen that the console shows: entries in every state, dead letters of several kinds, blocked keys,
 * subscriptions that lag and have parked events, projections, streams, workers, an hour of samples, a pause. As it would be in the middle
 * of a bad hour; the same for the tests and for the pictures of the documentation.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { putHostile } from "./hostile.ts"
import type { Entry } from "./putEntries.ts"
import { putEntries } from "./putEntries.ts"

const timedOut = (n: number) => `connect ETIMEDOUT 10.0.4.${n}:5672`
const refused = (n: number) => `mailbox unavailable: 550 5.1.1 user ${n}`
const wrong = "schema: amount is not a number"

const deadLetters: ReadonlyArray<Entry> = [
  ...Array.from({ length: 9 }, (_, n): Entry => ({
    type: "deal.created",
    status: "dead",
    error: timedOut(n),
    ago: 2400 - n * 210
  })),
  ...Array.from({ length: 5 }, (_, n): Entry => ({
    type: "action.added",
    status: "dead",
    error: refused(4000 + n),
    ago: 900 - n * 31
  })),
  { type: "deal.stage_changed", status: "dead", error: wrong, key: "deal/d-77", blocks: true, ago: 1040, deal: "d-77" },
  { type: "deal.stage_changed", status: "pending", key: "deal/d-77", waitsFor: "key", ago: 600, deal: "d-77" },
  { type: "action.added", status: "pending", key: "deal/d-77", waitsFor: "key", ago: 580, deal: "d-77" },
  { type: "deal.created", status: "dead", error: timedOut(9), key: "deal/d-78", blocks: true, ago: 300, deal: "d-78" },
  { type: "deal.stage_changed", status: "pending", key: "deal/d-78", waitsFor: "key", ago: 290, deal: "d-78" },
  { type: "deal.created", status: "dead", error: wrong, ago: 4000, discarded: true }
]

const others: ReadonlyArray<Entry> = [
  ...Array.from({ length: 12 }, (_, n): Entry => ({
    type: ["deal.created", "deal.stage_changed", "action.added"][n % 3] ?? "",
    status: "delivered",
    attempts: 1,
    ago: 170 - n * 9
  })),
  { type: "deal.created", status: "processing", attempts: 1, ago: 1 },
  { type: "deal.created", attempts: 2, error: timedOut(3), ago: -40 },
  { type: "deal.stage_changed", attempts: 1, error: timedOut(4), ago: -11 },
  { type: "report.ordered", waitsFor: "turn", ago: 400 },
  { type: "deal.created", ago: 3 }
]

const routed = Effect.gen(function*() {
  const [main = ""] = yield* putEntries([{
    type: "deal.won",
    status: "delivered",
    attempts: 1,
    ago: 130,
    deal: "d-90"
  }])
  yield* putEntries([
    {
      type: "deal.won",
      destination: "crm",
      eventId: main,
      key: "crm/deal/d-90",
      attempts: 3,
      error: "503 Service Unavailable",
      ago: -25,
      deal: "d-90"
    },
    {
      type: "deal.won",
      destination: "webhook",
      eventId: main,
      status: "delivered",
      attempts: 1,
      ago: 128,
      deal: "d-90"
    }
  ])
  return main
})

const streams = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`
    INSERT INTO zakops.agent_events (id, correlation_id, aggregate_type, aggregate_id, event_type, event_data, created_at, stream_version)
    SELECT gen_random_uuid(), gen_random_uuid(), 'deal', 'd-' || deal,
      CASE WHEN version = 1 THEN 'deal.created' WHEN version % 3 = 0 THEN 'action.added' ELSE 'deal.stage_changed' END,
      CASE WHEN version = 1 THEN jsonb_build_object('dealId', 'd-' || deal, 'title', 'Office in Lyon', 'amount', 125000)
        WHEN version % 3 = 0 THEN jsonb_build_object('dealId', 'd-' || deal, 'action', 'call ' || version)
        ELSE jsonb_build_object('dealId', 'd-' || deal, 'stage', (ARRAY['qualified', 'proposal', 'negotiation'])[1 + version % 3]) END,
      clock_timestamp() - (8 - version) * interval '6 minutes', version
    FROM generate_series(10, 24) AS deal, generate_series(1, 7) AS version ORDER BY version, deal`
  yield* sql`
    INSERT INTO zakops.streams (aggregate_type, aggregate_id, version, xid)
    SELECT 'deal', 'd-' || deal, 7, pg_current_xact_id() FROM generate_series(10, 24) AS deal`
})

const readers = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`
    INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at, runner, lease_until)
    SELECT row.subscription, log.xid, log.position, clock_timestamp(), row.runner, clock_timestamp() + interval '1 hour'
    FROM (VALUES ('mailer', 'app-1.prod:411', 0), ('projection pipeline v1', 'app-1.prod:411', 0),
      ('projection pipeline v2', 'app-2.prod:398', 48), ('projection timeline v1', NULL, 20)) AS row (subscription, runner, behind),
      LATERAL (SELECT xid, position FROM zakops.agent_events ORDER BY xid DESC, position DESC OFFSET row.behind LIMIT 1) AS log`
  yield* sql`
    INSERT INTO zakops.projections (name, version, status, can_reset, created_at, live_at, error) VALUES
      ('pipeline', 1, 'live', true, clock_timestamp() - interval '9 days', clock_timestamp() - interval '9 days', NULL),
      ('pipeline', 2, 'building', true, clock_timestamp() - interval '4 minutes', NULL, NULL),
      ('timeline', 1, 'live', true, clock_timestamp() - interval '9 days', clock_timestamp() - interval '9 days',
        'deal.stage_changed at position 87: the stage "on hold" is unknown')`
  yield* sql`
    INSERT INTO zakops.parked_events (subscription, event_id, xid, position, aggregate_type, aggregate_id, reason, error, attempts, parked_at)
    SELECT 'mailer', id, xid, position, aggregate_type, aggregate_id, CASE WHEN stream_version = 2 THEN 'failed' ELSE 'behind' END,
      CASE WHEN stream_version = 2 THEN 'mailbox unavailable: 550 5.1.1' ELSE '' END, 3, clock_timestamp() - interval '7 minutes'
    FROM zakops.agent_events WHERE aggregate_id = 'd-12' AND stream_version BETWEEN 2 AND 4`
})

const workers = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`
    INSERT INTO zakops.workers (id, name, destination, route, version, started_at, seen_at, listener, breaker, holding, delivered, failed, dead)
    SELECT gen_random_uuid(), name, destination, destination = 'crm', '0.1.0', clock_timestamp() - interval '3 hours', clock_timestamp() - seen * interval '1 second',
      listener, breaker, holding, delivered, failed, 7
    FROM (VALUES ('app-1.prod:411', 'event log', 1, 'listening', 'closed', 1, 1042311, 391),
      ('app-2.prod:398', 'event log', 2, 'polling', 'closed', 0, 998120, 402),
      ('app-2.prod:398', 'crm', 2, 'polling', 'open', 0, 20411, 1893)
    ) AS row (name, destination, seen, listener, breaker, holding, delivered, failed)`
  // Two outages within an hour.
  yield* sql`
    INSERT INTO zakops.samples (at, destination, kind, value)
    SELECT to_timestamp(floor(extract(epoch FROM now()) / 10) * 10 - n * 10), row.destination, row.kind, row.value::bigint
    FROM generate_series(1, 359) AS n,
      LATERAL (SELECT 8200 + 1400 * sin(n / 29.0) + 500 * sin(n / 7.0) AS rate, n BETWEEN 120 AND 141 AS away) AS base,
      LATERAL (VALUES ('', 'emitted', 3000000 - n * 8200 + 40600 * cos(n / 29.0)),
        ('event log', 'delivered', CASE WHEN away THEN 700 WHEN n BETWEEN 112 AND 119 THEN 22000 ELSE rate END),
        ('event log', 'failed', CASE WHEN away THEN 210 ELSE 12 + 9 * sin(n / 5.0) END),
        ('event log', 'dead', CASE WHEN n BETWEEN 100 AND 118 THEN 14 ELSE 0 END),
        ('crm', 'delivered', CASE WHEN n < 45 THEN 0 ELSE 400 + 60 * sin(n / 11.0) END),
        ('crm', 'failed', CASE WHEN n < 45 THEN 40 ELSE 1 END)) AS row (destination, kind, value)`
})

const deeds = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`
    INSERT INTO zakops.flow (kind, name, paused_at, paused_by)
    VALUES ('type', 'report.ordered', clock_timestamp() - interval '6 minutes', 'mira')`
  yield* sql`
    INSERT INTO zakops.audit (at, by, action, filter, count) VALUES
      (clock_timestamp() - interval '2 hours', 'jon', 'redrive', '{"type": "deal.created", "error": "ETIMEDOUT"}', 212),
      (clock_timestamp() - interval '50 minutes', 'mira', 'discard', '{"ids": ["one"]}', 1),
      (clock_timestamp() - interval '6 minutes', 'mira', 'pause', '{"type": "report.ordered"}', 1)`
  yield* sql`
    INSERT INTO zakops.tasks (name, runner, finished_at, outcome)
    VALUES ('retention', NULL, clock_timestamp() - interval '40 seconds', '{"delivered": 1200, "attempts": 31}')`
})

/** Fills an empty database. `hostileId` is the id of the entry full of markup, where markup was asked for wherever somebody may write. */
export const makeWorld = Effect.fnUntraced(function*(options: { readonly hostile: boolean }) {
  yield* putEntries(deadLetters)
  yield* putEntries(others)
  const routedId = yield* routed
  yield* streams
  yield* readers
  yield* workers
  yield* deeds
  const hostileId = options.hostile ? yield* putHostile : ""
  return { routedId, hostileId }
})

/** The world that the tests of the console share; each changes what no other looks at. */
export class World
  extends Context.Service<World, Effect.Success<ReturnType<typeof makeWorld>>>()("@zakops/test/World")
{
  static readonly layer = Layer.effect(World, makeWorld({ hostile: true }))
}
