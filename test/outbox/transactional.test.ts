/** Delivery into the event log: whole, once, and around whatever cannot be delivered. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { OutboxProcessor } from "@zakops/outbox"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { emitDeals, emptyTables, entries, entry, loggedIds, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer))

layer(Live)("delivery into the event log", (it) => {
  it.effect("copies every field of the event, and marks the entry", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { drain } = yield* OutboxProcessor
      const [id = ""] = yield* emitDeals(1, { headers: { tenant: "t1" }, traceId: "0af7651916cd43dd8448eb211c80319c" })
      assert.strictEqual((yield* drain).delivered, 1)
      const [row] = yield* sql`
        SELECT l.id = o.id AND l.correlation_id = o.correlation_id AND l.aggregate_type = o.aggregate_type
          AND l.aggregate_id = o.aggregate_id AND l.event_type = o.event_type AND l.schema_version = o.schema_version
          AND l.event_data = o.event_data AND l.trace_id = o.trace_id AND l.headers = o.headers AND l.created_at = o.created_at
          AND l.stream_version IS NULL AS same,
          o.status, o.attempts, o.delivered_at >= o.created_at AS later, l.headers
        FROM zakops.agent_events l JOIN zakops.outbox o USING (id) WHERE id = ${id}::uuid`
      assert.deepStrictEqual(row, {
        same: true,
        status: "delivered",
        attempts: 1,
        later: true,
        headers: { tenant: "t1" }
      })
    }))

  it.effect("keeps the order of writing, over several batches", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { drain } = yield* OutboxProcessor
      const ids = yield* emitDeals(250)
      assert.strictEqual((yield* drain).delivered, 250)
      assert.deepStrictEqual(yield* loggedIds, ids)
    }))

  it.effect("serves producers that insert four columns, or NULL into every column that may hold it", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { drain } = yield* OutboxProcessor
      const [plain, bare] = [randomUUID(), randomUUID()]
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data)
        VALUES (${plain}, ${plain}, 'deal.made', '{"title":"by hand"}')`
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, aggregate_type, aggregate_id, event_type, schema_version,
          event_data, trace_id, status, attempts, max_attempts, last_attempt_at, next_attempt_at, delivered_at, error_message,
          created_at, ordering_key, claim_id, lease_until, headers)
        VALUES (${bare}, ${bare}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
          NULL, NULL)`
      assert.deepInclude(yield* drain, { delivered: 2, retried: 0, dead: 0 })
      assert.sameMembers(yield* loggedIds, [plain, bare])
      assert.deepInclude(yield* entry(bare), { status: "delivered", attempts: 1 })
    }))

  it.effect("takes an event that the log has already as delivered, and leaves the log as it is", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const { drain } = yield* OutboxProcessor
      const [id = ""] = yield* emitDeals(1)
      yield* sql`INSERT INTO zakops.agent_events (id, event_type) VALUES (${id}, 'written before')`
      assert.strictEqual((yield* drain).delivered, 1)
      const rows = yield* sql`SELECT event_type FROM zakops.agent_events`
      assert.deepStrictEqual(rows, [{ event_type: "written before" }])
    }))

  it.effect("passes over an entry that another transaction has locked, and does not wait for it", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { drain, runOnce } = yield* OutboxProcessor
      const [locked = "", ...free] = yield* emitDeals(4)
      const other = yield* TestDatabase.otherClient
      yield* other.withTransaction(Effect.gen(function*() {
        yield* other`SELECT 1 FROM zakops.outbox WHERE id = ${locked}::uuid FOR UPDATE`
        assert.strictEqual((yield* runOnce).delivered, 3)
      }))
      assert.deepStrictEqual(yield* loggedIds, free)
      assert.strictEqual((yield* drain).delivered, 1)
    }))

  it.effect("shares the work between several processors: each entry once", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const { drain } = yield* OutboxProcessor
      const ids = yield* emitDeals(1500)
      const counts = yield* Effect.all(Arr.replicate(drain, 6), { concurrency: "unbounded" })
      assert.strictEqual(counts.reduce((sum, { delivered }) => sum + delivered, 0), 1500)
      assert.sameMembers(yield* loggedIds, [...ids])
      assert.isTrue((yield* entries).every(({ attempts, status }) => status === "delivered" && attempts === 1))
    }))
})

/** Ways to keep a row whose title is "bad" out of the log, and what the server says of it. */
const refusals = [
  ["a check constraint", "no_bad_deals", [
    `ALTER TABLE zakops.agent_events ADD CONSTRAINT no_bad_deals CHECK (event_data->>'title' <> 'bad')`
  ]],
  ["a trigger", "I do not like it", [
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.event_data->>'title' = 'bad' THEN RAISE EXCEPTION 'I do not like it'; END IF; RETURN NEW; END $$`,
    `CREATE TRIGGER refuse BEFORE INSERT ON zakops.agent_events FOR EACH ROW EXECUTE FUNCTION refuse()`
  ]],
  ["a constraint that is checked at COMMIT", "refused at the end", [
    `CREATE FUNCTION refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.event_data->>'title' = 'bad' THEN RAISE EXCEPTION 'refused at the end'; END IF; RETURN NULL; END $$`,
    `CREATE CONSTRAINT TRIGGER refuse_late AFTER INSERT ON zakops.agent_events DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION refuse_late()`
  ]],
  ["a trigger with a fault of its own", "no_such_table", [
    `CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.event_data->>'title' = 'bad' THEN PERFORM 1 FROM no_such_table; END IF; RETURN NEW; END $$`,
    `CREATE TRIGGER stumble BEFORE INSERT ON zakops.agent_events FOR EACH ROW EXECUTE FUNCTION stumble()`
  ]]
] as const

for (const [what, words, statements] of refusals) {
  layer(Live)(`entries that ${what} refuses`, (it) => {
    it.effect("hold up and fail none of the others in their batch, and are charged alone", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* Effect.forEach(statements, (statement) => sql.unsafe(statement))
        const { runOnce } = yield* OutboxProcessor
        const good = yield* emitDeals(40)
        const bad = [
          ...(yield* emitDeals(1, { title: "bad" })),
          ...(yield* emitDeals(1, { title: "bad", maxAttempts: 1 }))
        ]
        const more = yield* emitDeals(40)

        assert.deepStrictEqual(yield* runOnce, {
          delivered: 80,
          retried: 1,
          dead: 1,
          handedBack: 0,
          parked: 0,
          fenced: 0
        })
        assert.deepStrictEqual(yield* loggedIds, [...good, ...more])
        const [waiting, dead] = yield* Effect.forEach(bad, entry)
        assert.deepInclude(waiting, { status: "pending", attempts: 1 })
        assert.deepInclude(dead, { status: "dead", attempts: 1 })
        assert.include(waiting?.error_message, words)
        assert.deepInclude(yield* runOnce, { delivered: 0, retried: 0, dead: 0 })
      }))
  })
}

layer(Live)("a log that cannot be written to at all", (it) => {
  it.effect("fails the run and charges nobody, and everything is delivered once it is there again", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const { drain, runOnce } = yield* OutboxProcessor
      const ids = yield* emitDeals(3)
      yield* sql`ALTER TABLE zakops.agent_events RENAME TO mislaid`
      const error = yield* Effect.flip(runOnce)
      assert.strictEqual(error._tag, "SqlError")
      assert.isTrue((yield* entries).every(({ attempts, status }) => status === "pending" && attempts === 0))
      yield* sql`ALTER TABLE zakops.mislaid RENAME TO agent_events`
      assert.strictEqual((yield* drain).delivered, 3)
      assert.deepStrictEqual(yield* loggedIds, ids)
    }))
})
