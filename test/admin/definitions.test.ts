/**
 * What the API knows by the program that serves it: states by its deciders, what its build can read, rules of its own for what is masked; and the
 * rates that workers have left.
 */
import { assert, layer } from "@effect/vitest"
import { KnownEvents } from "@zakops/admin/handlers/changing"
import { StateViews, viewOf } from "@zakops/admin/reading/streamState"
import { MaskRule } from "@zakops/admin/server/Masking"
import { EventStore } from "@zakops/event-store/EventStore"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { idOf, putRows } from "../support/adminRows.ts"
import type { Answer } from "../support/adminServer.ts"
import { ask, handlerWith, tagOf } from "../support/adminServer.ts"
import { Added, Counter, Taken } from "../support/counter.ts"
import { DealMade } from "../support/events.ts"
import { emptyTables } from "../support/outbox.ts"
import { OnLog } from "../support/projections.ts"

const at = (answer: Answer, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (value, step) => typeof value === "object" && value !== null ? (value as Record<string, unknown>)[step] : undefined,
    answer.body
  )

const stream = "/api/streams/state?aggregateType=counter&aggregateId=c"

const happened = Effect.gen(function*() {
  yield* emptyTables
  const { write } = yield* EventStore
  const events = [yield* Added.make({ by: 7 }), yield* Taken.make({ by: 2 }), yield* Added.make({ by: 30 })]
  yield* write({ aggregateType: "counter", aggregateId: "c" }, "any", events, { correlationId: idOf(1) })
})

layer(OnLog)("the API", (it) => {
  it.effect("folds a state by the decider of its type, at each version, and says which way it came", () =>
    Effect.gen(function*() {
      yield* happened
      const views = Effect.provideService(StateViews, [viewOf(Counter)])
      const api = yield* views(handlerWith())
      assert.deepInclude((yield* ask(api, stream)).body, { version: "3", by: "decider", state: "35", masked: false })
      assert.deepInclude((yield* ask(api, `${stream}&version=2`)).body, { version: "2", by: "decider", state: "5" })
      assert.strictEqual((yield* ask(api, `${stream}&version=4`)).status, 404)
      // Of a type that nobody has given a decider for it is the last of each field.
      const plain = yield* handlerWith()
      assert.deepInclude((yield* ask(plain, stream)).body, { by: "merged", state: `{"by": 30}` })
      // A number that stands in no object is a value as well.
      const masked = yield* views(handlerWith({ mask: ["*"] }))
      assert.deepInclude((yield* ask(masked, stream)).body, { state: `"[masked]"`, masked: true })
    }).pipe(Effect.scoped))

  it.effect("says why a decider cannot fold a stream, and no word of what is in it where that is masked", () =>
    Effect.gen(function*() {
      yield* happened
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data, created_at, aggregate_type, aggregate_id, stream_version)
        VALUES (${
        idOf(9)
      }::uuid, gen_random_uuid(), 'counter.added', '{"by": "secretly many"}', now(), 'counter', 'c', 4)`
      const decider = yield* Effect.provideService(handlerWith(), StateViews, [viewOf(Counter)])
      const refused = yield* ask(decider, stream)
      assert.strictEqual(
        `${refused.status} ${tagOf(refused)} ${String(at(refused, "field"))}`,
        "400 InvalidRequest version"
      )
      assert.include(String(at(refused, "message")), idOf(9))
      // A view of one's own may quote what it has read.
      const quoting = Effect.provideService(StateViews, [{
        aggregateType: "counter",
        fold: (events) => Effect.fail({ message: `cannot add ${JSON.stringify(events.at(-1)?.data)}` })
      }])
      assert.include(JSON.stringify((yield* ask(yield* quoting(handlerWith()), stream)).body), "secretly many")
      const masked = yield* ask(yield* quoting(handlerWith({ mask: ["by"] })), stream)
      assert.strictEqual(masked.status, 400)
      assert.notInclude(JSON.stringify(masked.body), "secretly")
      // A state that JSON cannot hold is told as such, and is no defect.
      const large = yield* Effect.provideService(handlerWith(), StateViews, [
        { aggregateType: "counter", fold: () => Effect.succeed({ sum: 7n }) }
      ])
      assert.strictEqual((yield* ask(large, stream)).status, 400)
    }).pipe(Effect.scoped))

  it.effect("says how many of a selection its build can read, and which not", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* putRows([
        { n: 1, status: "dead", data: `{"dealId": "7", "title": "a deal"}` },
        { n: 2, status: "dead", data: `{"dealId": "secretly seven", "title": 8}` },
        { n: 3, status: "dead" },
        { n: 4, status: "dead", type: "deal.unheard" }
      ])
      yield* sql`UPDATE zakops.outbox SET schema_version = 99 WHERE id = ${idOf(3)}::uuid`
      const preview = { body: { selection: "all" } }
      const known = Effect.provideService(KnownEvents, [DealMade])
      const told = yield* ask(yield* known(handlerWith()), "/api/dead/preview", preview)
      assert.deepInclude(at(told, "decoding"), { ready: 1, newer: 1, undecodable: 1, unknownType: 1 })
      const examples = at(told, "decoding", "examples") as ReadonlyArray<
        { readonly id: string; readonly reason: string }
      >
      assert.deepStrictEqual(examples.map(({ id }) => id), [idOf(3), idOf(2), idOf(4)])
      assert.isTrue(examples.every(({ reason }) => reason !== ""))
      const masked = yield* ask(yield* known(handlerWith({ mask: ["title"] })), "/api/dead/preview", preview)
      assert.deepInclude(at(masked, "decoding"), { ready: 1, undecodable: 1 })
      assert.deepInclude(at(masked, "decoding", "examples", 1), { id: idOf(2), reason: "[masked]" })
      assert.isNull(at(yield* ask(yield* handlerWith(), "/api/dead/preview", preview), "decoding"))
    }).pipe(Effect.scoped))

  it.effect("masks by a rule of the program's own, in events and in the states that come of them", () =>
    Effect.gen(function*() {
      yield* happened
      const rule = Effect.provideService(
        MaskRule,
        ({ eventType, path }) => eventType === "counter.taken" && path.join(".") === "data.by"
      )
      const api = yield* rule(handlerWith())
      const events = yield* ask(api, "/api/streams/events?aggregateType=counter&aggregateId=c")
      assert.deepStrictEqual([0, 1, 2].map((n) => at(events, "items", n, "data")), [
        `{"by": 7}`,
        `{"by": "[masked]"}`,
        `{"by": 30}`
      ])
      // What a state holds may be of either type.
      assert.deepInclude((yield* ask(api, stream)).body, { state: `{"by": "[masked]"}`, masked: true })
      assert.deepInclude((yield* ask(api, `${stream}&version=1`)).body, { state: `{"by": 7}`, masked: false })
      assert.strictEqual(at(yield* ask(api, "/api/session"), "masked"), true)
    }).pipe(Effect.scoped))

  it.effect("masks the texts of errors wherever they stand, and is not asked for them", () =>
    Effect.gen(function*() {
      yield* happened
      const sql = yield* SqlClient
      const words = "refused ann@example.com"
      yield* putRows([
        { n: 1, status: "dead", error: `${words} 1`, key: "k", blocks: true },
        { n: 2, status: "dead", error: `${words} for good`, type: "deal.lost" },
        { n: 3, status: "dead", error: words, destination: "billing", event: 1 }
      ])
      yield* sql`INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, ended_at, outcome, error)
        VALUES (${idOf(1)}::uuid, 1, 'there', now(), 'failed', ${words})`
      yield* sql`INSERT INTO zakops.projections (name, version, status, can_reset, created_at, error)
        VALUES ('totals', 1, 'live', true, now(), ${words})`
      yield* sql`INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at) VALUES ('mails', '0', 0, now())`
      yield* sql`INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
        SELECT 'mails', id, xid, position, 'failed', ${words}, 1, now() FROM zakops.agent_events`
      const questions = [
        "/api/overview",
        "/api/entries",
        "/api/entries?state=dead",
        `/api/entries/${idOf(1)}`,
        "/api/dead",
        "/api/dead/groups?by=error",
        "/api/dead/groups?by=type-error",
        "/api/keys/blocked",
        "/api/consumers/parked?subscription=mails",
        "/api/projections",
        "/api/doctor"
      ]
      const plain = yield* handlerWith()
      for (const mask of [["error"], ["*"]]) {
        const api = yield* handlerWith({ mask })
        for (const path of questions) {
          assert.include(JSON.stringify((yield* ask(plain, path)).body), "ann@example.com", path)
          const { body, status } = yield* ask(api, path)
          assert.strictEqual(status, 200, path)
          assert.notInclude(JSON.stringify(body), "ann@example.com", path)
          assert.include(JSON.stringify(body), "[masked]", path)
        }
        const preview = yield* ask(api, "/api/dead/preview", { body: { selection: "all" } })
        assert.notInclude(JSON.stringify(preview.body), "ann@example.com")
        // What looks the same is one group.
        assert.deepStrictEqual(at(preview, "byError", 0, "count"), 3)
        assert.deepStrictEqual(
          (at(yield* ask(api, "/api/dead/groups?by=type-error"), "groups") as ReadonlyArray<{ readonly count: number }>)
            .map(({ count }) => count),
          [2, 1]
        )
        for (
          const path of [
            "/api/entries?error=ann",
            "/api/dead?error=ann",
            "/api/dead/count?error=a",
            "/api/dead/groups?by=type&error=a"
          ]
        ) {
          const refused = yield* ask(api, path)
          assert.strictEqual(`${refused.status} ${String(at(refused, "field"))}`, "400 error", path)
        }
        for (const path of ["/api/dead/preview", "/api/dead/redrive", "/api/dead/discard"]) {
          const writing = yield* handlerWith({ mask, writes: true })
          assert.strictEqual((yield* ask(writing, path, { body: { selection: { error: "ann" } } })).status, 400, path)
        }
      }
      const named = yield* Effect.provideService(handlerWith(), MaskRule, ({ path }) => path.join(".") === "error")
      assert.notInclude(JSON.stringify((yield* ask(named, "/api/dead")).body), "ann@example.com")
    }).pipe(Effect.scoped))

  it.effect("says how far a projection is, to the last digit", () =>
    Effect.gen(function*() {
      yield* happened
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.projections (name, version, status, can_reset, created_at)
        VALUES ('totals', 1, 'live', true, now()), ('totals', 2, 'building', true, now())`
      yield* sql`INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at)
        VALUES ('projection totals v1', '1', 9007199254740993, now())`
      const projections = yield* ask(yield* handlerWith(), "/api/projections")
      assert.deepStrictEqual([at(projections, 0, "position"), at(projections, 1, "position")], [
        "9007199254740993",
        "0"
      ])
    }).pipe(Effect.scoped))

  it.effect("gives the rates that workers have counted, step by step, up to the last that is whole", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* TestClock.setTime(10_005_000)
      const sample = (seconds: number, kind: string, destination: string, value: number) =>
        sql`INSERT INTO zakops.samples (at, kind, destination, value) VALUES (${new Date(
          seconds * 1000
        )}, ${kind}, ${destination}, ${value})`
      // The highest number so far, and how many of a kind.
      yield* sample(9930, "emitted", "", 100)
      yield* sample(9950, "emitted", "", 150)
      yield* sample(9990, "emitted", "", 250)
      yield* sample(9960, "delivered", "nats", 40)
      yield* sample(9990, "failed", "nats", 5)
      // Under way, and not shown yet.
      yield* sample(10_000, "delivered", "nats", 1000)
      const rates = yield* ask(yield* handlerWith(), "/api/overview/rates?last=60&step=20")
      assert.deepStrictEqual(rates.body, {
        step: 20,
        times: [9940, 9960, 9980],
        series: [
          { kind: "emitted", destination: "", perSecond: [2.5, 0, 5] },
          { kind: "delivered", destination: "nats", perSecond: [0, 2, 0] },
          { kind: "failed", destination: "nats", perSecond: [0, 0, 0.25] }
        ]
      })
    }).pipe(Effect.scoped))
})
