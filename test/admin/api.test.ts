/** What the API answers: pages, figures, changes with their audit, masked fields, ETags, large numbers, and bodies for every refusal. */
import { assert, layer } from "@effect/vitest"
import { Api } from "@zakops/admin/Api"
import { EventStore } from "@zakops/event-store/EventStore"
import * as ProjectionCatalog from "@zakops/event-store/ProjectionCatalog"
import * as Effect from "effect/Effect"
import * as OpenApi from "effect/http-api/OpenApi"
import { SqlClient } from "effect/sql/SqlClient"
import { Added } from "../support/counter.ts"
import { idOf, putRows } from "../support/adminRows.ts"
import { ask, handlerWith, secrets, tagOf, tokens } from "../support/adminServer.ts"
import type { Answer } from "../support/adminServer.ts"
import { auditRows } from "../support/deadLetters.ts"
import { emptyTables } from "../support/outbox.ts"
import { OnLog } from "../support/projections.ts"

/** A field of a body that is an object. */
const at = (answer: Answer, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (value, step) => typeof value === "object" && value !== null ? (value as Record<string, unknown>)[step] : undefined,
    answer.body
  )

const large =
  `{"cents": 9007199254740993, "email": "ann@example.com", "card": {"number": "4111", "last": [{"email": "x"}]}}`

const added = (counter: string, ...amounts: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const { write } = yield* EventStore
    const events = yield* Effect.forEach(amounts, (by) => Added.make({ by }))
    yield* write({ aggregateType: "counter", aggregateId: counter }, "any", events, { correlationId: idOf(1) })
  })

// Purging rests between its batches, in real time.
layer(OnLog, { excludeTestServices: true })("the API", (it) => {
  it.effect("gives figures of every kind, each exact where it is small", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const api = yield* handlerWith()
      yield* putRows([
        { n: 1 },
        { n: 2, status: "processing" },
        { n: 3, status: "delivered" },
        { n: 4, status: "dead", error: "refused 7", key: "k", blocks: true },
        { n: 5, key: "k", waitsFor: "key" },
        { n: 6, waitsFor: "turn" },
        { n: 7, status: "dead", discarded: true },
        { n: 8, status: "dead", error: "refused 8", destination: "billing", event: 3 }
      ])
      const overview = yield* ask(api, "/api/overview")
      const counts = Object.entries(
        at(overview, "counts") as Record<string, { readonly value: number; readonly kind: string }>
      )
      assert.deepStrictEqual(
        Object.fromEntries(counts.map(([state, { kind, value }]) => [state, `${value} ${kind}`])),
        {
          pending: "1 exact",
          behind: "1 exact",
          held: "1 exact",
          processing: "1 exact",
          delivered: "1 exact",
          dead: "2 exact",
          discarded: "1 exact"
        }
      )
      assert.deepStrictEqual(at(overview, "blockedKeys"), { value: 1, kind: "exact" })
      assert.deepInclude(at(overview, "deadByError", 0), { error: "refused <n>", count: 2 })
      assert.isAbove(at(overview, "oldestPendingAge") as number, 0)
      const destinations = yield* ask(api, "/api/destinations")
      assert.deepStrictEqual(
        [0, 1].map((n) => [at(destinations, n, "name"), at(destinations, n, "dead", "value")]),
        [[null, 1], ["billing", 1]]
      )
      assert.isTrue(Array.isArray(at(yield* ask(api, "/api/doctor"), "findings")))
      assert.strictEqual(at(yield* ask(api, "/api/overview/rates"), "step"), 30)
      for (
        const path of ["/api/workers", "/api/consumers", "/api/projections", "/api/rollout", "/api/maintenance/tasks"]
      ) {
        assert.deepStrictEqual((yield* ask(api, path)).body, [], path)
      }
    }).pipe(Effect.scoped))

  it.effect("previews, redrives and discards dead letters, and refuses where others match by now", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const api = yield* handlerWith({ tokens, writes: true })
      const token = secrets.ann
      yield* putRows([
        { n: 1, status: "dead", type: "a", error: "refused" },
        { n: 2, status: "dead", type: "b", error: "refused" },
        { n: 3, status: "dead", type: "b", error: "late", destination: "billing", event: 9 }
      ])
      const preview = yield* ask(api, "/api/dead/preview", { body: { selection: { type: "b" } }, token })
      assert.strictEqual(at(preview, "count"), 2)
      assert.isNull(at(preview, "decoding"))
      const groups = yield* ask(api, "/api/dead/groups?by=type-error", { token })
      assert.strictEqual((at(groups, "groups") as ReadonlyArray<unknown>).length, 3)
      assert.deepStrictEqual((yield* ask(api, "/api/dead/count?destination=billing", { token })).body, {
        value: 1,
        kind: "exact"
      })

      const changed = yield* ask(api, "/api/dead/discard", { body: { selection: { type: "b" }, expected: 3 }, token })
      assert.strictEqual(`${changed.status} ${tagOf(changed)}`, "409 CountChanged")
      const redriven = yield* ask(api, "/api/dead/redrive", {
        body: { selection: { type: "b", destination: "" }, expected: 1, rate: 10 },
        token
      })
      assert.deepStrictEqual(redriven.body, { redriven: 1 })
      assert.deepStrictEqual(
        (yield* ask(api, "/api/dead/discard", { body: { selection: { ids: [idOf(1)] } }, token })).body,
        {
          discarded: 1
        }
      )
      assert.deepStrictEqual((yield* auditRows).map(({ action, by, count }) => [by, action, count]), [
        ["ann", "redrive", 1],
        ["ann", "discard", 1]
      ])
      const audit = yield* ask(api, "/api/audit?limit=1", { token })
      assert.strictEqual(at(audit, "items", 0, "action"), "discard")
      const next = yield* ask(api, `/api/audit?limit=1&after=${String(at(audit, "next"))}`, { token })
      assert.strictEqual(at(next, "items", 0, "action"), "redrive")
      assert.strictEqual(at(next, "items", 0, "filter"), `{"rate": 10, "type": "b", "destination": ""}`)
      assert.isNull(at(next, "next"))
    }).pipe(Effect.scoped))

  it.effect("unblocks and discards for keys, pauses and resumes, retries and discards what is parked, rebuilds and switches: each audited", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const api = yield* handlerWith({ tokens, writes: true })
      const token = secrets.ann
      const change = (path: string, body: unknown) => ask(api, path, { body, token })
      yield* putRows([
        { n: 1, status: "dead", key: "k", blocks: true },
        { n: 2, status: "dead", key: "l", blocks: true }
      ])
      yield* sql`INSERT INTO zakops.projections (name, version, status, can_reset, created_at)
        VALUES ('totals', 1, 'live', true, now()), ('totals', 2, 'building', true, now())`
      yield* sql`INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at) VALUES ('mails', '0', 0, now())`
      yield* added("c", 1, 2)
      yield* sql`INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
        SELECT 'mails', id, xid, position, 'failed', 'refused', 1, now() FROM zakops.agent_events`
      const keys = yield* ask(api, "/api/keys/blocked", { token })
      assert.deepInclude(at(keys, "items", 0), { key: "k", headId: idOf(1), waiting: 0 })
      const parked = yield* ask(api, "/api/consumers/parked?subscription=mails", { token })
      const parkedId = at(parked, "items", 0, "eventId")
      assert.match(String(at(parked, "items", 0, "position")), /^\d+$/)
      for (
        const [path, all] of [["/api/keys/blocked?", keys], [
          "/api/consumers/parked?subscription=mails&",
          parked
        ]] as const
      ) {
        const first = yield* ask(api, `${path}limit=1`, { token })
        const second = yield* ask(api, `${path}limit=1&after=${String(at(first, "next"))}`, { token })
        assert.deepStrictEqual([at(first, "items", 0), at(second, "items", 0)], [
          at(all, "items", 0),
          at(all, "items", 1)
        ])
        const wrong = yield* ask(api, `${path}after=elsewhere`, { token })
        assert.strictEqual(`${wrong.status} ${tagOf(wrong)}`, "400 InvalidRequest")
      }

      assert.deepStrictEqual((yield* change("/api/keys/unblock", { key: "k" })).body, { unblocked: [idOf(1)] })
      assert.deepStrictEqual((yield* change("/api/keys/discard-head", { key: "l" })).body, { discarded: idOf(2) })
      const twice = yield* change("/api/keys/unblock", { key: "k" })
      assert.strictEqual(`${twice.status} ${tagOf(twice)}`, "409 NotBlocked")
      assert.deepStrictEqual((yield* change("/api/flow/pause", { kind: "destination", name: "billing" })).body, {
        changed: true
      })
      assert.deepStrictEqual((yield* change("/api/flow/pause", { kind: "destination", name: "billing" })).body, {
        changed: false
      })
      assert.deepStrictEqual((yield* change("/api/flow/resume", { kind: "destination", name: "billing" })).body, {
        changed: true
      })
      assert.deepStrictEqual(
        (yield* change("/api/consumers/parked/retry", { subscription: "mails", events: [parkedId] })).body,
        {
          retried: 1
        }
      )
      assert.deepStrictEqual(
        (yield* change("/api/consumers/parked/discard", { subscription: "mails", events: "all" })).body,
        {
          discarded: 2
        }
      )
      assert.deepStrictEqual((yield* change("/api/projections/rebuild", { name: "totals" })).body, { version: 1 })
      assert.deepStrictEqual((yield* change("/api/projections/switch", { name: "totals", version: 2 })).body, {
        version: 2
      })
      const none = yield* change("/api/projections/rebuild", { name: "none" })
      assert.strictEqual(`${none.status} ${tagOf(none)}`, "409 Refused")
      assert.deepStrictEqual((yield* ProjectionCatalog.list("totals")).map(({ resetRequested }) => resetRequested), [
        true,
        false
      ])
      assert.deepStrictEqual((yield* auditRows).map(({ action }) => action), [
        "unblock",
        "discard",
        "pause",
        "resume",
        "retry parked",
        "discard parked",
        "rebuild",
        "switch"
      ])
      assert.isTrue((yield* auditRows).every(({ by }) => by === "ann"))
    }).pipe(Effect.scoped))

  it.effect("purges what is old, of one kind, after saying how many", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      const api = yield* handlerWith({ writes: true })
      yield* putRows([
        ...Array.from({ length: 1500 }, (_, n) => ({ n: n + 1, status: "delivered" })),
        { n: 5000, status: "dead" },
        { n: 5001 }
      ])
      yield* sql`UPDATE zakops.outbox SET delivered_at = now() WHERE id = ${idOf(7)}`
      const body = { kind: "delivered", olderThan: "30d" }
      assert.deepStrictEqual((yield* ask(api, "/api/maintenance/purge/preview", { body })).body, {
        value: 1499,
        kind: "exact"
      })
      assert.deepStrictEqual((yield* ask(api, "/api/maintenance/purge", { body })).body, { deleted: 1499 })
      const left = yield* sql<{ id: string }>`SELECT id FROM zakops.outbox ORDER BY id`
      assert.deepStrictEqual(left.map(({ id }) => id), [idOf(7), idOf(5000), idOf(5001)])
      const [row] = yield* auditRows
      assert.deepInclude(row, { action: "purge", count: 1499 })
      assert.deepStrictEqual(
        (yield* ask(api, "/api/maintenance/purge", { body: { kind: "dead", olderThan: "1d" } })).body,
        {
          deleted: 1
        }
      )
    }).pipe(Effect.scoped))

  it.effect("keeps every digit of a number, and masks the fields that it was told to", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* putRows([{ n: 1, data: large }])
      yield* sql`UPDATE zakops.outbox SET headers = '{"authorization": "Bearer x", "plain": "y"}'`
      yield* sql`SELECT setval(pg_get_serial_sequence('zakops.outbox', 'seq'), 9007199254740992)`
      yield* putRows([{ n: 2 }])
      const plain = yield* handlerWith()
      const open = yield* ask(plain, `/api/entries/${idOf(1)}`)
      assert.include(String(at(open, "data")), "9007199254740993")
      assert.isFalse(at(open, "masked"))
      assert.strictEqual(at(yield* ask(plain, `/api/entries/${idOf(2)}`), "entry", "seq"), "9007199254740993")

      const api = yield* handlerWith({ mask: ["EMAIL", "data.card.number", "headers.authorization", "data.*.nothing"] })
      const entry = yield* ask(api, `/api/entries/${idOf(1)}`)
      assert.deepStrictEqual(JSON.parse(String(at(entry, "headers"))), { authorization: "[masked]", plain: "y" })
      const data = String(at(entry, "data"))
      assert.include(data, "9007199254740993")
      assert.deepInclude(JSON.parse(data), {
        email: "[masked]",
        card: { last: [{ email: "[masked]" }], number: "[masked]" }
      })
      assert.isTrue(at(entry, "masked"))
      assert.strictEqual(at(yield* ask(api, "/api/session"), "masked"), true)
      const all = yield* handlerWith({ mask: ["*"] })
      assert.notInclude(JSON.stringify((yield* ask(all, `/api/entries/${idOf(1)}`)).body), "4111")
    }).pipe(Effect.scoped))

  it.effect("shows streams, an aggregate's state at a version, and the log from a cursor on", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const api = yield* handlerWith()
      for (const counter of ["a", "b", "c"]) yield* added(counter, 1, 2, 3)
      const first = yield* ask(api, "/api/streams?limit=2")
      assert.deepStrictEqual(at(first, "items", 1), { aggregateType: "counter", aggregateId: "b", version: "3" })
      const rest = yield* ask(api, `/api/streams?limit=2&after=${String(at(first, "next"))}`)
      assert.strictEqual(at(rest, "items", 0, "aggregateId"), "c")
      assert.isNull(at(rest, "next"))
      const stream = "aggregateType=counter&aggregateId=a"
      const back = yield* ask(api, `/api/streams/events?${stream}&direction=backward&limit=2`)
      assert.deepStrictEqual([at(back, "items", 0, "streamVersion"), at(back, "items", 0, "data"), at(back, "next")], [
        "3",
        `{"by": 3}`,
        "1"
      ])
      const state = yield* ask(api, `/api/streams/state?${stream}&version=2`)
      assert.deepInclude(state.body, { version: "2", by: "merged", state: `{"by": 2}` })
      const none = yield* ask(api, `/api/streams/state?${stream}&version=9`)
      assert.strictEqual(`${none.status} ${tagOf(none)}`, "404 NotFound")
      const latest = yield* ask(api, "/api/streams/log?limit=4")
      // Transactions of other test files may hold back the newest events.
      const items = at(latest, "items") as ReadonlyArray<{ readonly position: string }>
      assert.isAtMost(items.length, 4)
      const everything = yield* ask(api, "/api/streams/log?after=0:0&type=counter.added&limit=500")
      const positions = (at(everything, "items") as ReadonlyArray<{ readonly position: string }>).map(({ position }) =>
        BigInt(position)
      )
      assert.deepStrictEqual(positions, positions.toSorted((a, b) => a < b ? -1 : 1))
      assert.strictEqual(tagOf(yield* ask(api, "/api/streams/log?after=x")), "InvalidRequest")
    }).pipe(Effect.scoped))

  it.effect("answers 304 for as long as nothing has changed, also where only the time of a figure has", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const api = yield* handlerWith({ writes: true })
      for (const path of ["/api/flow", "/api/overview", "/api/entries?limit=5"]) {
        const first = yield* ask(api, path)
        const etag = first.headers.get("etag") ?? ""
        assert.match(etag, /^"[\w-]{27}"$/)
        assert.strictEqual(first.headers.get("cache-control"), "private, no-cache")
        const again = yield* ask(api, path, { headers: { "if-none-match": `"other", W/${etag}` } })
        assert.deepStrictEqual([again.status, again.body, again.headers.get("etag")], [304, "", etag], path)
        const head = yield* ask(api, path, { method: "HEAD" })
        assert.deepStrictEqual([head.status, head.body], [200, ""], path)
        assert.deepStrictEqual(head.headers.get("content-type"), first.headers.get("content-type"), path)
      }
      const before = yield* ask(api, "/api/flow")
      assert.strictEqual(
        (yield* ask(api, "/api/flow", { method: "HEAD" })).headers.get("etag"),
        before.headers.get("etag")
      )
      assert.strictEqual((yield* ask(api, "/api/streams/tail", { method: "HEAD" })).status, 200)
      assert.strictEqual((yield* ask(api, "/api/docs", { method: "HEAD" })).status, 200)
      yield* ask(api, "/api/flow/pause", { body: { kind: "type", name: "x" } })
      const after = yield* ask(api, "/api/flow", { headers: { "if-none-match": before.headers.get("etag") ?? "" } })
      assert.strictEqual(after.status, 200)
      assert.strictEqual(
        (yield* ask(api, "/api/flow/pause", { body: { kind: "type", name: "y" } })).headers.get("cache-control"),
        "no-store"
      )
    }).pipe(Effect.scoped))

  it.effect("gives every refusal a body that names it, and says what is wrong with which field", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ writes: true })
      const refused: ReadonlyArray<
        readonly [status: number, tag: string, field: string, path: string, body?: unknown]
      > = [
        [400, "InvalidRequest", "limit", "/api/entries?limit=0"],
        [400, "InvalidRequest", "limit", "/api/entries?limit=1e3"],
        [400, "InvalidRequest", "state", "/api/entries?state=odd"],
        [400, "InvalidRequest", "after", "/api/entries?after=odd"],
        [400, "InvalidRequest", "type", "/api/entries?type=%00"],
        [400, "InvalidRequest", "id", "/api/entries/odd"],
        [400, "InvalidRequest", "by", "/api/dead/groups?by=odd"],
        [400, "InvalidRequest", "olderThan", "/api/dead?olderThan=yesterday"],
        [400, "InvalidRequest", "aggregateId", "/api/streams/events?aggregateType=a"],
        [400, "InvalidRequest", "from", "/api/streams/events?aggregateType=a&aggregateId=b&from=-1"],
        [400, "InvalidRequest", "step", "/api/overview/rates?step=7"],
        [400, "InvalidRequest", "payload", "/api/dead/redrive", "{"],
        [400, "EmptyFilter", "", "/api/dead/redrive", { selection: {} }],
        [400, "InvalidRequest", "rate", "/api/dead/redrive", { selection: "all", rate: -1 }],
        [400, "InvalidRequest", "kind", "/api/flow/pause", { kind: "odd", name: "x" }],
        [400, "InvalidRequest", "name", "/api/flow/pause", { kind: "type", name: "a\u0000" }],
        [400, "InvalidRequest", "body", "/api/dead/redrive", "x".repeat(1_100_000)],
        [404, "NotFound", "", "/api/odd"],
        [404, "NotFound", "", `/api/entries/${idOf(12345)}`],
        [404, "NotFound", "", "/odd.js"],
        [404, "NotFound", "", "/../package.json"],
        [404, "NotFound", "", "/%2e%2e/package.json"]
      ]
      for (const [status, tag, field, path, body] of refused) {
        const answer = yield* ask(api, path, body === undefined ? {} : { body })
        assert.strictEqual(`${answer.status} ${tagOf(answer)}`, `${status} ${tag}`, path)
        assert.isNotEmpty(at(answer, "message"), path)
        if (field !== "") assert.strictEqual(at(answer, "field"), field, path)
        assert.strictEqual(answer.headers.get("x-content-type-options"), "nosniff", path)
        assert.include(answer.headers.get("content-security-policy"), "default-src 'none'", path)
      }
    }).pipe(Effect.scoped))

  it.effect("says in its document what it answers, and serves a page of it that loads nothing from elsewhere", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ basePath: "/ops/outbox" })
      const document = yield* ask(api, "/ops/outbox/api/openapi.json")
      assert.deepStrictEqual(at(document, "servers"), [{ url: "/ops/outbox" }])
      const paths = Object.keys(at(document, "paths") as object)
      assert.deepStrictEqual(paths, Object.keys(OpenApi.fromApi(Api).paths))
      const page = yield* ask(api, "/ops/outbox/api/docs")
      assert.include(String(page.headers.get("content-type")), "text/html")
      const policy = page.headers.get("content-security-policy") ?? ""
      assert.match(policy, /script-src 'sha256-/)
      assert.notInclude(policy, "http")
      assert.notMatch(String(page.body).slice(0, 3000), /<script[^>]+src=|<link[^>]+href="http/)
    }).pipe(Effect.scoped))
})
