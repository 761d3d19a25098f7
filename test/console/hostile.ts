/** Markup in everything that a stranger, a producer or a program may write and that a page shows. Each field has its own, which names it. */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { putEntries } from "./putEntries.ts"

/** What an attacker would write into a field, in the hope that somebody looks at it. */
export const markupIn = (field: string) => `<img src=x onerror="stolen='${field}'">`

/** As much as fits the action of the audit. */
export const shortMarkup = `<svg onload="stolen=1">`

/** In the data, where there is room for more. */
export const script = `</script><script>stolen='data'</script> javascript:alert(1) ${markupIn("data")}`

/** Beyond what a float holds. */
export const largeNumber = "9007199254740993"

/** A dead entry that blocks its key, with an attempt of a worker, and one that waits behind it and was routed. */
const entries = Effect.gen(function*() {
  const sql = yield* SqlClient
  const aggregate = markupIn("aggregate")
  const [id = ""] = yield* putEntries([{
    type: markupIn("type"),
    status: "dead",
    error: `${markupIn("error")} javascript:alert(1)`,
    key: markupIn("key"),
    blocks: true,
    ago: 50,
    deal: aggregate,
    data: { note: script, [script]: 1 },
    headers: { note: markupIn("headers") }
  }])
  yield* putEntries([{
    type: markupIn("type behind"),
    destination: markupIn("destination"),
    eventId: id,
    key: markupIn("key"),
    waitsFor: "key",
    deal: aggregate
  }])
  yield* sql`
    UPDATE zakops.outbox SET aggregate_type = ${markupIn("aggregate type")},
      event_data = jsonb_set(event_data, '{large}', ${largeNumber}::jsonb)
    WHERE id = ${id}::uuid`
  yield* sql`
    INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, worker, ended_at, outcome, error)
    VALUES (${id}::uuid, 6, ${markupIn("tried destination")}, ${markupIn("tried by")}, clock_timestamp(), 'failed', ${
    markupIn("tried error")
  })`
  return id
})

/** A stream of two events, a subscription that has parked one of them, and a projection that has stopped at it. */
const log = Effect.gen(function*() {
  const sql = yield* SqlClient
  const [stream, type] = [markupIn("stream"), markupIn("stream type")]
  yield* sql`
    INSERT INTO zakops.agent_events (id, correlation_id, aggregate_type, aggregate_id, event_type, event_data, headers, created_at, stream_version)
    SELECT gen_random_uuid(), gen_random_uuid(), ${type}, ${stream}, ${markupIn("logged type")}, ${
    JSON.stringify({ note: script, [script]: 1 })
  }::jsonb, ${
    JSON.stringify({ note: script })
  }::jsonb, clock_timestamp(), version FROM generate_series(1, 2) AS version`
  yield* sql`
    INSERT INTO zakops.streams (aggregate_type, aggregate_id, version, xid) VALUES (${type}, ${stream}, 2, pg_current_xact_id())`
  const [consumer, projection] = [markupIn("consumer"), markupIn("projection")]
  yield* sql`
    INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at, runner, lease_until)
    SELECT name, log.xid, log.position, clock_timestamp(), ${markupIn("runner")}, clock_timestamp() + interval '1 hour'
    FROM unnest(${[consumer, `projection ${projection} v1`]}::text[]) AS name,
      LATERAL (SELECT xid, position FROM zakops.agent_events ORDER BY xid, position LIMIT 1) AS log`
  yield* sql`
    INSERT INTO zakops.parked_events (subscription, event_id, xid, position, aggregate_type, aggregate_id, reason, error, attempts, parked_at)
    SELECT ${consumer}, id, xid, position, aggregate_type, aggregate_id, 'failed', ${
    markupIn("parked error")
  }, 3, clock_timestamp()
    FROM zakops.agent_events WHERE aggregate_id = ${stream} AND stream_version = 1`
  yield* sql`
    INSERT INTO zakops.projections (name, version, status, can_reset, created_at, live_at, error)
    VALUES (${projection}, 1, 'live', true, clock_timestamp(), clock_timestamp(), ${markupIn("projection error")})`
})

/** What programs say of themselves, and people of what they have done. */
const operation = Effect.gen(function*() {
  const sql = yield* SqlClient
  const destination = markupIn("destination")
  yield* sql`
    INSERT INTO zakops.workers (id, name, destination, route, version, started_at, seen_at, listener, breaker)
    VALUES (${randomUUID()}::uuid, ${markupIn("worker")}, ${destination}, true, ${
    markupIn("version")
  }, clock_timestamp(), clock_timestamp() + interval '1 hour', 'polling', 'open')`
  yield* sql`
    INSERT INTO zakops.samples (at, destination, kind, value)
    SELECT to_timestamp(floor(extract(epoch FROM now()) / 10) * 10 - n * 10), ${destination}, 'delivered', 10 FROM generate_series(1, 9) AS n`
  yield* sql`
    INSERT INTO zakops.flow (kind, name, paused_at, paused_by) VALUES
      ('type', ${markupIn("paused type")}, clock_timestamp(), ${markupIn("paused by")}),
      ('destination', ${destination}, clock_timestamp(), ${markupIn("paused by")})`
  yield* sql`
    INSERT INTO zakops.audit (at, by, action, filter, count)
    VALUES (clock_timestamp(), ${markupIn("actor")}, ${shortMarkup}, ${
    JSON.stringify({ type: markupIn("filter"), reason: markupIn("reason") })
  }::jsonb, 1)`
  yield* sql`
    INSERT INTO zakops.tasks (name, owner, runner, lease_until, finished_at, outcome)
    VALUES (${markupIn("task")}, gen_random_uuid(), ${
    markupIn("task runner")
  }, clock_timestamp() + interval '1 hour', clock_timestamp(), ${JSON.stringify({ note: markupIn("outcome") })}::jsonb)`
})

/** Gives the id of the dead entry. */
export const putHostile = Effect.gen(function*() {
  const id = yield* entries
  yield* log
  yield* operation
  return id
})
