/**
 * How long an operator waits for the first data of each page of the console: over a socket, from a server that has just been started for this
 * page, at so many entries pending and as many delivered. What the frame around each page asks for is asked for at the same time.
 *
 * Nobody is raced against: it is a promise. The value is the page that takes longest; the figures beside it say each.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { ConsoleConfig, ConsoleServer } from "@zakops/admin"
import { migrate } from "@zakops/migrations/Migrations"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { atMost } from "../Goal.ts"
import type { Contestant, Race, Sample } from "../Measurement.ts"

/** About 350 bytes of JSON, as in the other races. */
const note = "n".repeat(300)

/**
 * Half of the pending ones have one of 1,000 keys, all but the first of which stand behind; what was delivered is in the log. And dead
 * letters, 10,000 for a million, a hundredth of which hold up keys of their own. Ids go up with time, as those that `emit` makes.
 */
const seed = Effect.fnUntraced(function*(size: number) {
  const sql = yield* SqlClient
  const id = sql.literal("(lpad(to_hex(1764000000000 + n), 12, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0'))")
  const uuid = sql`(substr(${id}, 1, 8) || '-' || substr(${id}, 9))::uuid`
  const common = sql`'deal.priced', jsonb_build_object('note', ${note}::text, 'n', n)`
  yield* sql`
    INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, status, attempts, delivered_at, aggregate_type, aggregate_id)
    SELECT ${uuid}, gen_random_uuid(), ${common}, now() - interval '1 day' + n * interval '10 ms', 'delivered', 1,
      now() - interval '1 day' + n / 100 * interval '1 second', 'deal', (n % 50000)::text
    FROM generate_series(1, ${size}::int) AS n`
  yield* sql`
    INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, status, ordering_key)
    SELECT ${uuid}, gen_random_uuid(), ${common}, now() - (${size * 2}::int - n) * interval '1 ms', 'pending',
      CASE WHEN n % 2 = 0 THEN 'key ' || n % 1000 END
    FROM generate_series(${size + 1}::int, ${size * 2}::int) AS n`
  yield* sql`UPDATE zakops.outbox SET waits_for = 'key'
    WHERE ordering_key IS NOT NULL AND seq > (SELECT min(seq) + 1000 FROM zakops.outbox WHERE ordering_key IS NOT NULL)`
  yield* sql`
    INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, status, attempts, died_at, error_message, ordering_key, blocks)
    SELECT ${uuid}, gen_random_uuid(), ${common}, now(), 'dead', 5, now() - n % 1000 * interval '1 minute',
      'the destination answered ' || n % 600 || ' to event ' || gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 'held ' || n END, n % 100 = 0
    FROM generate_series(${size * 2 + 1}::int, ${Math.round(size * 2.01)}::int) AS n`
  yield* sql`
    INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data, created_at, aggregate_type, aggregate_id, stream_version)
    SELECT ${uuid}, gen_random_uuid(), ${common}, now() - interval '1 day', 'deal', (n % 50000)::text, n / 50000 + 1
    FROM generate_series(1, ${size}::int) AS n`
  yield* sql`
    INSERT INTO zakops.streams (aggregate_type, aggregate_id, version, xid)
    SELECT 'deal', n::text, ${
    Math.floor(size / 50_000)
  }::bigint, pg_current_xact_id() FROM generate_series(1, 50000) AS n`
  yield* sql`
    INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at)
    SELECT 'reader ' || n, '1', 0, now() FROM generate_series(1, 10) AS n`
  yield* sql`
    INSERT INTO zakops.parked_events (subscription, event_id, xid, position, aggregate_type, aggregate_id, reason, error, attempts, parked_at)
    SELECT 'reader 1', id, xid, position, aggregate_type, aggregate_id, 'failed', 'the handler failed', 1, now()
    FROM zakops.agent_events ORDER BY position LIMIT ${Math.round(size / 10)}::int`
  yield* sql`
    INSERT INTO zakops.audit (at, by, action, filter, count)
    SELECT now() - n * interval '1 second', 'ann', 'redrive', jsonb_build_object('n', n), n FROM generate_series(1, 10000) AS n`
  yield* sql`
    INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, worker, ended_at, outcome, error)
    SELECT id, n, 'event log', 'host:7', now(), 'failed', 'refused' FROM zakops.outbox, generate_series(1, 5) AS n WHERE status = 'dead'`
  yield* sql`
    INSERT INTO zakops.workers (id, name, destination, route, version, started_at, seen_at, listener, breaker, holding, delivered, failed, dead)
    SELECT gen_random_uuid(), 'host:' || n, 'event log', false, '0.1.0', now(), now(), 'listening', 'closed', 100, 1000000, 10, 1
    FROM generate_series(1, 20) AS n`
  yield* sql`
    INSERT INTO zakops.projections (name, version, status, can_reset, created_at)
    SELECT 'projection ' || n, 1, 'live', true, now() FROM generate_series(1, 20) AS n`
  yield* sql`
    INSERT INTO zakops.samples (at, destination, kind, value)
    SELECT to_timestamp(floor(extract(epoch FROM now()) / 10) * 10 - n * 10), '', kind, (8640 - n) * 1000
    FROM generate_series(1, 8640) AS n, unnest(ARRAY['emitted', 'delivered', 'failed', 'dead']) AS kind`
  yield* sql`VACUUM ANALYZE zakops.outbox`
  yield* sql`VACUUM ANALYZE zakops.agent_events`
})

/** What the frame asks for beside every page: who one is, and the numbers of the navigation. */
const frame = ["/api/session", "/api/overview", "/api/doctor", "/api/flow"]

/** What each page asks for first, all of it at once. */
const pages: Readonly<Record<string, ReadonlyArray<string>>> = {
  "overview": ["/api/overview", "/api/overview/rates", "/api/destinations", "/api/workers", "/api/doctor"],
  "entries": ["/api/entries"],
  "entries pending": ["/api/entries?state=pending"],
  "entries processing": ["/api/entries?state=processing"],
  "entries behind": ["/api/entries?state=behind"],
  "entries delivered": ["/api/entries?state=delivered"],
  "dead letters": ["/api/dead", "/api/dead/count", "/api/dead/groups?by=type-error"],
  "keys": ["/api/keys/blocked"],
  "pauses": ["/api/flow"],
  "consumers": ["/api/consumers", "/api/projections"],
  "parked": ["/api/consumers", "/api/projections", "/api/consumers/parked?subscription=reader%201"],
  "streams": ["/api/streams"],
  "stream": [
    "/api/streams/events?aggregateType=deal&aggregateId=77&direction=backward",
    "/api/streams/state?aggregateType=deal&aggregateId=77"
  ],
  "tail": ["/api/streams/log?limit=50"],
  "doctor": ["/api/doctor", "/api/maintenance/tasks"],
  "audit": ["/api/audit"]
}

/** Milliseconds until the last of the answers is there. */
const timeOf = (base: string, paths: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const began = performance.now()
    const bodies = await Promise.all(paths.map(async (path) => {
      const response = await fetch(`${base}${path}`)
      if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
      return response.text()
    }))
    return { millis: performance.now() - began, bodies }
  })

/** The nth page of a list, by the cursors of those before it: how long that one takes. */
const deep = Effect.fnUntraced(function*(base: string, path: string, pages: number) {
  let after = ""
  let millis = 0
  for (let n = 0; n < pages; n++) {
    const answer = yield* timeOf(base, [`${path}&limit=500${after}`])
    millis = answer.millis
    after = `&after=${(JSON.parse(answer.bodies[0] ?? "{}") as { readonly next: string }).next}`
  }
  return millis
})

const console: Contestant = {
  name: "the console",
  settings:
    "the first time each page is asked for; 10,000 dead letters, 1,000 keys, a tenth of the log parked, a log of the delivered for a million",
  run: Effect.fnUntraced(function*(url, size) {
    const client = yield* Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 10 }))
    yield* Effect.provideContext(Effect.andThen(migrate, seed(size)), client)
    const started = Effect.map(
      Layer.build(ConsoleServer.layer.pipe(
        Layer.provide(ConsoleConfig.layerWith({ port: 0, rate: 10_000 })),
        Layer.provide(Layer.succeedContext(client))
      )),
      (context) => Context.get(context, ConsoleServer).address.replace(/\/$/, "")
    )
    const began = performance.now()
    const base = yield* started
    const start = performance.now() - began
    const [first] = (yield* timeOf(base, ["/api/entries?state=pending&limit=1"])).bodies
    const entry = /"id":"([^"]+)"/.exec(first ?? "")?.[1] ?? ""
    const figures: Record<string, number> = {}
    for (const [page, paths] of [...Object.entries(pages), ["entry", [`/api/entries/${entry}`]]] as const) {
      const answered = Effect.scoped(Effect.gen(function*() {
        const fresh = yield* started
        const around = yield* Effect.forkScoped(timeOf(fresh, frame))
        const answer = yield* timeOf(fresh, paths)
        yield* Fiber.join(around)
        return answer
      }))
      figures[`ms ${page}`] = (yield* answered).millis
    }
    figures["ms 20th page of 500"] = yield* deep(base, "/api/entries?state=delivered", 20)
    const slowest = Math.max(...Object.values(figures))
    // Beside the pages: a server reads its first figures before it is there, and a filter that finds nothing looks at its 20,000 entries.
    figures["ms start"] = start
    figures["ms rare filter"] = (yield* timeOf(base, ["/api/entries?state=delivered&type=none"])).millis
    return { value: slowest, figures } satisfies Sample
  })
}

export const consoleRaces: ReadonlyArray<Race> = [{
  name: "the console: the first data of its slowest page, at so many entries pending and as many delivered",
  unit: "ms",
  size: 1_000_000,
  quickSize: 50_000,
  better: "less",
  contestants: [console],
  goals: [atMost("the console", 200, "ms")]
}]
