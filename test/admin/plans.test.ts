/**
 * How the pages of the console find their rows in a large table: by the indexes that they name, whether the table was analysed or not. How long
 * that takes, `bench console` measures.
 */
import { assert, layer } from "@effect/vitest"
import { Consumers } from "@zakops/admin/Consumers"
import type { EntryState } from "@zakops/admin/api/entries"
import { Entries } from "@zakops/admin/Entries"
import { EventStreams } from "@zakops/admin/EventStreams"
import { byIndex } from "@zakops/admin/reading/counting"
import { SystemStatus } from "@zakops/admin/SystemStatus"
import * as Database from "@zakops/migrations/Database"
import { BlockedKeys, DeadLetters } from "@zakops/outbox"
import { Destinations } from "@zakops/outbox/Destinations"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { services } from "../support/outbox.ts"
import { FakePublisher } from "../support/FakePublisher.ts"
import type { Plan } from "../support/plans.ts"
import { plansOf } from "../support/plans.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const outbox = `"zakops"."outbox"`
const log = `"zakops"."agent_events"`
/** Others have a row for each worker, pause or subscription. */
const large: ReadonlySet<string> = new Set(["outbox", "agent_events"])

/** Of every state so many that the planner would rather read the table than walk an index; most are delivered. */
const fill = Effect.gen(function*() {
  const sql = yield* SqlClient
  const put = (count: number, columns: string, values: string) =>
    sql.unsafe(
      `INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, created_at, ${columns})
      SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{}', now() - n * interval '1 ms', ${values} FROM generate_series(1, ${count}) AS n`
    )
  yield* put(20_000, "status, attempts, delivered_at", "'delivered', 1, now() - n * interval '1 minute'")
  yield* put(6000, "status", "'pending'")
  yield* put(3000, "ordering_key, waits_for", "'key ' || n % 100, CASE WHEN n > 100 THEN 'key' END")
  yield* put(2000, "waits_for", "'turn'")
  yield* put(2000, "destination, event_id", "'route ' || n % 5, gen_random_uuid()")
  yield* put(
    3000,
    "status, attempts, died_at, error_message, ordering_key, blocks",
    "'dead', 5, now(), 'refused ' || n, 'held ' || n, n % 2 = 0"
  )
  yield* put(1000, "status, attempts, died_at, discarded_at", "'dead', 5, now(), now() - n * interval '1 second'")
  yield* sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', '{}', now() FROM generate_series(1, 20000) AS n`
  yield* sql`INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at) VALUES ('reader', '1', 0, now())`
  yield* sql`INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
    SELECT 'reader', id, xid, position, 'failed', 'refused', 1, now() FROM zakops.agent_events LIMIT 5000`
})

const analysed = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`VACUUM ANALYZE zakops.outbox`
  yield* sql`VACUUM ANALYZE zakops.agent_events`
})

const pages = Layer.mergeAll(
  Entries.layer,
  SystemStatus.layer,
  EventStreams.layer,
  Consumers.layer,
  Destinations.layer,
  BlockedKeys.layer,
  DeadLetters.layer
).pipe(Layer.provideMerge(services()), Layer.provideMerge(FakePublisher.layer))

const walks = {
  pending: ["outbox_due", "outbox_due_keyed", "outbox_routed_due"],
  processing: ["outbox_due", "outbox_due_keyed", "outbox_routed_due"],
  behind: ["outbox_key"],
  held: ["outbox_turn"],
  delivered: ["outbox_delivered"],
  dead: ["outbox_dead"],
  discarded: ["outbox_discarded"]
} satisfies Record<EntryState, ReadonlyArray<string>>

/** None reads a large table from end to end, whatever it was given, and each of the indexes is used. */
const assertWalks = (what: string, plans: ReadonlyArray<Plan>, indexes: ReadonlyArray<string>) => {
  assert.isNotEmpty(plans, what)
  for (const { kind, scanned, text } of plans) {
    assert.deepStrictEqual(scanned.filter((name) => large.has(name)), [], `${what}, ${kind}: ${text}`)
  }
  for (const kind of ["custom", "generic"] as const) {
    const used = plans.filter((plan) => plan.kind === kind).flatMap((plan) => plan.indexes)
    for (const index of indexes) assert.include(used, index, `${what}, ${kind}`)
  }
}

for (const [when, prepare] of [["never analysed", Effect.void], ["analysed", analysed]] as const) {
  const filled = Layer.effectDiscard(Effect.andThen(fill, prepare)).pipe(Layer.provideMerge(TestDatabase.layer))
  layer(pages.pipe(Layer.provideMerge(filled)))(`on a large table, ${when}, the console's pages`, (it) => {
    it.effect("list entries of each state by its index, also where a filter lets none pass", () =>
      Effect.gen(function*() {
        const { list } = yield* Entries
        const within = byIndex(yield* Database.make)
        for (const [state, indexes] of Object.entries(walks) as ReadonlyArray<[EntryState, ReadonlyArray<string>]>) {
          for (const filter of [{ state }, { state, type: "none" }]) {
            assertWalks(JSON.stringify(filter), yield* plansOf(outbox, list(filter), within), indexes)
          }
        }
        assertWalks("all", yield* plansOf(outbox, list({}), within), ["outbox_pkey"])
        assertWalks("all of a type", yield* plansOf(outbox, list({ type: "none" }), within), ["outbox_pkey"])
      }))

    it.effect("count and group by the indexes, up to their limits", () =>
      Effect.gen(function*() {
        const db = yield* Database.make
        const within = byIndex(db)
        assertWalks("the overview", yield* plansOf(outbox, (yield* SystemStatus).read, within), [
          "outbox_due",
          "outbox_due_keyed",
          "outbox_routed_due",
          "outbox_turn",
          "outbox_key",
          "outbox_dead",
          "outbox_delivered",
          "outbox_discarded"
        ])
        assertWalks("destinations", yield* plansOf(outbox, (yield* Destinations).list, within), [
          "outbox_due",
          "outbox_due_keyed",
          "outbox_routed_due",
          "outbox_key",
          "outbox_dead"
        ])
        const letters = yield* DeadLetters
        for (const by of ["type", "error", "key", "age", "type-error"] as const) {
          const groups = letters.groups(by, {}, { latest: 2000 })
          assertWalks(`groups by ${by}`, yield* plansOf(outbox, groups, within), ["outbox_dead"])
        }
        assertWalks("the count", yield* plansOf(outbox, letters.count({}, { latest: 10 }), within), [
          "outbox_dead"
        ])
        assertWalks("dead letters", yield* plansOf(outbox, letters.list({ error: "none" }), within), ["outbox_dead"])
        const { list: blocked } = yield* BlockedKeys
        for (const page of [{ limit: 200 }, { limit: 200, after: "7" }]) {
          assertWalks("blocked keys", yield* plansOf(outbox, blocked(page), within), ["outbox_dead", "outbox_key"])
        }
      }))

    it.effect("read the log in its order, from a cursor on or from its end", () =>
      Effect.gen(function*() {
        const within = byIndex(yield* Database.make)
        const streams = yield* EventStreams
        for (const filter of [{}, { type: "none" }]) {
          assertWalks("the latest", yield* plansOf(log, streams.log(filter), within), ["agent_events_order"])
          assertWalks("after a cursor", yield* plansOf(log, streams.log(filter, { after: "1:7" }), within), [
            "agent_events_order"
          ])
        }
        const { parked } = yield* Consumers
        for (const page of [{}, { after: Buffer.from(`["parked","5","7"]`).toString("base64url") }]) {
          const plans = yield* plansOf(`"zakops"."parked_events"`, parked("reader", page), within)
          assertWalks("what is parked", plans, ["parked_events_order", "agent_events_pkey"])
          assert.deepStrictEqual(plans.flatMap(({ scanned }) => scanned), [], "what is parked")
        }
        assertWalks("subscriptions", yield* plansOf(log, (yield* Consumers).list, within), ["agent_events_order"])
      }))
  })
}
