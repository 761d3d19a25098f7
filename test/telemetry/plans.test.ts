/**
 * What reading the metrics of the database costs in large tables: each count walks the index that it names and stops at its limit, so that a
 * scrape every few seconds is no load, however many rows there are.
 */
import { assert, layer } from "@effect/vitest"
import * as Health from "@zakops/telemetry/Health"
import { DatabaseMetrics } from "@zakops/telemetry/DatabaseMetrics"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { scansIn } from "../support/plans.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

/** Those that grow. The others have a row for each worker, subscription, projection or pause. */
const large = ["outbox", "agent_events", "parked_events"]

/** What is counted of one kind at most, and one more to know that there are more; for each of two subscriptions. */
const mostRead = 2 * 10_001

/** More of every kind than is counted, by both ways of each index: main and routed, with a key and without. */
const fill = Effect.gen(function*() {
  const sql = yield* SqlClient
  const put = (columns: string, values: string, count = 12_000) =>
    sql.unsafe(
      `INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, ${columns})
      SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{}', now(), ${values} FROM generate_series(1, ${count}) AS n`
    )
  yield* put("status, delivered_at", "'delivered', now() - n * interval '1 second'", 30_000)
  yield* put("status, died_at, error_message", "'dead', now(), 'no room for ' || n")
  yield* put("status, died_at, destination, event_id", "'dead', now(), 'hook', gen_random_uuid()")
  yield* put("status, died_at, discarded_at", "'dead', now(), now()")
  yield* put("next_attempt_at", "now() - n * interval '1 second'")
  yield* put("next_attempt_at", "now() + n * interval '1 hour'")
  yield* put("ordering_key", "'key ' || n % 4000")
  yield* put("destination, event_id", "'hook', gen_random_uuid()")
  yield* put("destination, event_id, ordering_key", "'hook', gen_random_uuid(), 'key ' || n % 4000")
  yield* put("waits_for", "'turn'")
  yield* sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{}', now() FROM generate_series(1, 30000)`
  yield* sql`INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at) VALUES ('behind', '0', 0, now()), ('beside', '0', 0, now())`
  yield* sql`INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
    SELECT 'behind', id, xid, position, 'failed', 'no', 1, now() FROM zakops.agent_events LIMIT 5000`
  yield* sql`VACUUM ANALYZE zakops.outbox`
  yield* sql`VACUUM ANALYZE zakops.agent_events`
  yield* sql`VACUUM ANALYZE zakops.parked_events`
})

const Live = Health.Health.layer.pipe(
  Layer.provideMerge(DatabaseMetrics.layerIdle),
  Layer.provideMerge(Layer.effectDiscard(fill).pipe(Layer.provideMerge(TestDatabase.layer)))
)

layer(Live, { excludeTestServices: true })("with 130,000 entries and a log of 30,000 events", (it) => {
  it.effect("the metrics of the database are read by indexes, and no further than they count", () =>
    Effect.gen(function*() {
      const { latest, refresh } = yield* DatabaseMetrics
      const scans = (yield* scansIn(large.map((table) => `"${table}"`), refresh)).filter(({ table }) =>
        large.includes(table)
      )
      assert.strictEqual((yield* latest)._tag, "Some", "they could not be read")
      assert.deepStrictEqual([...new Set(scans.map(({ table }) => table))].toSorted(), large.toSorted())
      for (const { index, node, rows, table } of scans) {
        assert.isDefined(index, `${node} of ${table}`)
        assert.isAtMost(rows, mostRead, `${table} by ${index}`)
      }
      const used = new Set(scans.map(({ index }) => index))
      for (
        const index of [
          "outbox_due",
          "outbox_due_keyed",
          "outbox_routed_due",
          "outbox_routed_due_keyed",
          "outbox_turn",
          "outbox_dead",
          "outbox_delivered",
          "outbox_discarded",
          "outbox_key",
          "agent_events_order"
        ]
      ) assert.isTrue(used.has(index), `${index} is not among ${[...used].join()}`)
    }))

  it.effect("readiness asks none of the large tables", () =>
    Effect.gen(function*() {
      const { ready } = yield* Health.Health
      assert.deepStrictEqual(yield* scansIn(large.map((table) => `"${table}"`), ready), [])
    }))
})
