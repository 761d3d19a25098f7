/** The API asked by somebody who means harm: from another site, under other names, with bodies, cursors and fields that nobody would send. */
import { assert, layer } from "@effect/vitest"
import { Api } from "@zakops/admin/Api"
import { ReadsOnly } from "@zakops/admin/api/Access"
import { exposure } from "@zakops/admin/ConsoleServer"
import { toNode } from "@zakops/admin/mounts"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { connect } from "node:net"
import { idOf, putRows } from "../support/adminRows.ts"
import type { Question } from "../support/adminServer.ts"
import { ask, handlerWith, secrets, settingsOf, tagOf, tokens } from "../support/adminServer.ts"
import { auditRows } from "../support/deadLetters.ts"
import { emptyTables } from "../support/outbox.ts"
import { OnLog } from "../support/projections.ts"

/** Every endpoint of the contract: what is added to it is asked here too. */
const endpoints = Object.values(Api.groups).flatMap((group) =>
  Object.values(group.endpoints).map((endpoint) => ({
    method: endpoint.method as string,
    path: (endpoint.path as string).replace(/\/$/, "").replace(":id", idOf(1)),
    writes: endpoint.method !== "GET" && !Context.get(endpoint.annotations, ReadsOnly)
  }))
)

/** A request that each write can be asked with, and that changes something: see `harm`. */
const writes: Readonly<Record<string, unknown>> = {
  "/api/dead/redrive": { selection: { ids: [idOf(1)] } },
  "/api/dead/discard": { selection: { ids: [idOf(2)] } },
  "/api/keys/unblock": { key: "k" },
  "/api/keys/discard-head": { key: "l" },
  "/api/flow/pause": { kind: "type", name: "x" },
  "/api/flow/resume": { kind: "type", name: "y" },
  "/api/consumers/parked/retry": { subscription: "mails", events: "all" },
  "/api/consumers/parked/discard": { subscription: "mails", events: "all" },
  "/api/projections/rebuild": { name: "totals" },
  "/api/projections/switch": { name: "totals", version: 2 },
  "/api/maintenance/purge": { kind: "delivered", olderThan: "1d" }
}

const harm = Effect.gen(function*() {
  yield* emptyTables
  const sql = yield* SqlClient
  yield* putRows([
    { n: 1, status: "dead" },
    { n: 2, status: "dead" },
    { n: 3, status: "dead", key: "k", blocks: true },
    { n: 4, status: "dead", key: "l", blocks: true },
    { n: 5, status: "delivered" }
  ])
  yield* sql`INSERT INTO zakops.flow (kind, name, paused_at, paused_by) VALUES ('type', 'y', now(), 'ann')`
  yield* sql`INSERT INTO zakops.projections (name, version, status, can_reset, created_at)
    VALUES ('totals', 1, 'live', true, now()), ('totals', 2, 'building', true, now())`
  yield* sql`INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at) VALUES ('mails', '0', 0, now())`
  yield* sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data, created_at)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'deal.made', '{}', now())`
  yield* sql`INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
    SELECT 'mails', id, xid, position, 'failed', 'refused', 1, now() FROM zakops.agent_events`
})

/** What is sent over a socket, byte by byte, and everything that comes back. */
const raw = (port: number, text: string) =>
  Effect.promise(() =>
    new Promise<string>((resolve) => {
      let answer = ""
      const socket = connect(port, "127.0.0.1", () => socket.write(text))
      socket.setEncoding("utf8").on("data", (part) => answer += part)
      socket.on("close", () => resolve(answer)).on("error", () => resolve(answer))
    })
  )

const listening = Effect.fnUntraced(function*(handler: Parameters<typeof toNode>[0]) {
  const server = createServer(toNode(handler))
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
    () => Effect.promise(() => new Promise((resolve) => server.close(resolve).closeAllConnections()))
  )
  return (server.address() as AddressInfo).port
})

const text64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

layer(OnLog, { excludeTestServices: true })("the API refuses", (it) => {
  it.effect("everybody without the right token, at every endpoint, and leaves nothing changed", () =>
    Effect.gen(function*() {
      yield* harm
      const api = yield* handlerWith({ tokens, writes: true, rate: 100_000 })
      const off = yield* handlerWith({ tokens, rate: 100_000 })
      assert.deepStrictEqual(
        endpoints.filter((endpoint) => endpoint.writes).map(({ path }) => path).toSorted(),
        Object.keys(writes).toSorted()
      )
      for (const { method, path, writes: isWrite } of endpoints) {
        const question: Question = method === "GET" ? {} : { method, body: writes[path] ?? {} }
        assert.strictEqual((yield* ask(api, path, question)).status, 401, path)
        const basic = { authorization: `Basic ${Buffer.from(`ann:${secrets.ann}`).toString("base64")}` }
        assert.strictEqual((yield* ask(api, path, { ...question, headers: basic })).status, 401, path)
        // A token is no part of the address, and in no cookie.
        const elsewhere = { cookie: `token=${secrets.ann}; authorization=Bearer ${secrets.ann}` }
        const named = `${path}?token=${secrets.ann}&access_token=${secrets.ann}`
        assert.strictEqual((yield* ask(api, named, { ...question, headers: elsewhere })).status, 401, path)
        if (!isWrite) continue
        assert.strictEqual(tagOf(yield* ask(api, path, { ...question, token: secrets.bob })), "Forbidden", path)
        assert.strictEqual(tagOf(yield* ask(off, path, { ...question, token: secrets.ann })), "WritesOff", path)
        // Neither a query nor a header makes a write of a read, or a reader of a writer.
        const overridden = { "x-http-method-override": method, "x-forwarded-user": "ann", "x-role": "operate" }
        const got = yield* ask(api, path, { method: "GET", headers: overridden, token: secrets.bob })
        assert.strictEqual(got.status, 404, path)
      }
      assert.deepStrictEqual(yield* auditRows, [])
    }).pipe(Effect.scoped))

  it.effect("nothing of a write that leaves no row in the audit", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ tokens, writes: true })
      for (const [path, body] of Object.entries(writes)) {
        yield* harm
        const answer = yield* ask(api, path, { body, token: secrets.ann })
        assert.strictEqual(answer.status, 200, `${path}: ${JSON.stringify(answer.body)}`)
        assert.deepStrictEqual((yield* auditRows).map(({ by, count }) => `${by} ${count}`), ["ann 1"], path)
      }
    }).pipe(Effect.scoped))

  it.effect("other names for itself, however they are said", () =>
    Effect.gen(function*() {
      const port = yield* listening(yield* handlerWith({ writes: true }))
      const status = (text: string) => Effect.map(raw(port, text), (answer) => /^HTTP\/1.1 (\d+)/.exec(answer)?.[1])
      const get = (target: string, ...headers: ReadonlyArray<string>) =>
        status([`GET ${target} HTTP/1.1`, ...headers, "connection: close", "", ""].join("\r\n"))
      const own = `host: 127.0.0.1:${port}`
      assert.strictEqual(yield* get("/api/session", own), "200")
      assert.strictEqual(yield* get("/api/session", "host: evil.example.com"), "403")
      // The request's target names a host too: what counts is the header.
      assert.strictEqual(yield* get(`http://127.0.0.1:${port}/api/session`, "host: evil.example.com"), "403")
      assert.strictEqual(yield* get("//127.0.0.1/api/session", "host: evil.example.com"), "403")
      assert.strictEqual(yield* get("/api/session", own, "host: evil.example.com"), "403")
      assert.strictEqual(yield* get("/api/session", "host: evil.example.com", "x-forwarded-host: localhost"), "403")
      assert.strictEqual(yield* get("/api/session", "host: evil.example.com", "forwarded: host=localhost"), "403")
      assert.strictEqual(yield* get("/api/session"), "400")
      assert.strictEqual(yield* status("GET /api/session HTTP/1.0\r\n\r\n"), "403")
      assert.strictEqual(yield* get("/api/session", own, "origin: http://evil.example.com"), "403")
      assert.strictEqual(yield* get("/api/session", own, "origin: http://localhost.evil.example.com"), "403")
      // What a browser asks before it sends what a form cannot.
      assert.strictEqual(
        yield* status(
          `OPTIONS /api/flow/pause HTTP/1.1\r\n${own}\r\norigin: http://evil.example.com\r\n` +
            "access-control-request-method: POST\r\nconnection: close\r\n\r\n"
        ),
        "403"
      )
      assert.notInclude(
        (yield* raw(port, `GET /api/session HTTP/1.1\r\n${own}\r\nconnection: close\r\n\r\n`)).toLowerCase(),
        "access-control-allow"
      )
      // Nobody can be kept from his own host by a name that leads here, where any name will do.
      const open = yield* settingsOf({ hosts: "any" })
      assert.include(exposure(open) ?? "", "CONSOLE_HOSTS=*")
      assert.isUndefined(exposure(yield* settingsOf({ hosts: "any", tokens })))
    }).pipe(Effect.scoped))

  it.effect("ways out of its path, and out of its files", () =>
    Effect.gen(function*() {
      const port = yield* listening(yield* handlerWith({ basePath: "/ops/outbox" }))
      const get = (target: string) =>
        Effect.map(
          raw(port, `GET ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`),
          (answer) => `${/^HTTP\/1.1 (\d+)/.exec(answer)?.[1]} ${/"name"|root:|DATABASE_URL/.exec(answer)?.[0] ?? ""}`
        )
      for (
        const target of [
          "/api/session",
          "/ops/outbox/../../api/session",
          "/ops/outbox/..%2f..%2fpackage.json",
          "/ops/outbox/%2e%2e/%2e%2e/package.json",
          "/ops/outbox/..%5c..%5cpackage.json",
          "/ops/outbox//etc/passwd",
          "/ops/outbox/%00",
          "/ops/outbox/index.html%00.js",
          "/ops/outboxes/api/session",
          "/OPS/outbox/api/session",
          "/ops/outbox/__proto__",
          "/ops/outbox/api/__proto__",
          "/ops/outbox//api/session"
        ]
      ) assert.strictEqual(yield* get(target), "404 ", target)
      assert.strictEqual(yield* get("/ops/outbox/x/../api/session"), `200 "name"`)
      // It leads to itself, and nowhere else.
      const moved = yield* raw(
        port,
        "GET //evil.example.com/ops/outbox HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
      )
      assert.match(moved, /^location: outbox\/\r$/m)
    }).pipe(Effect.scoped))

  it.effect("bodies that are too large, whatever they say of themselves, and those that are no JSON", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const api = yield* handlerWith({ writes: true })
      const port = yield* listening(api)
      const post = (path: string, headers: ReadonlyArray<string>, body: string) =>
        Effect.map(
          raw(
            port,
            [
              `POST ${path} HTTP/1.1`,
              "host: localhost",
              "connection: close",
              "content-type: application/json",
              ...headers,
              "",
              body
            ]
              .join("\r\n")
          ),
          (answer) => /^HTTP\/1.1 (\d+)/.exec(answer)?.[1] ?? ""
        )
      const large = `{"kind": "type", "name": "${"x".repeat(1_100_000)}"}`
      const chunked = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`
      assert.match(yield* post("/api/flow/pause", ["transfer-encoding: chunked"], chunked), /^4(00|13)$/)
      assert.strictEqual(yield* post("/api/flow/pause", ["content-length: 1000000000000"], "{"), "413")
      for (const length of ["-1", "1e9", "0x10", "nine"]) {
        assert.strictEqual(yield* post("/api/flow/pause", [`content-length: ${length}`], "{}"), "400", length)
      }
      const deep = "[".repeat(300_000) + "]".repeat(300_000)
      const bodies = [
        "",
        "{",
        "null",
        "[]",
        "1",
        `"x"`,
        deep,
        `{"selection": ${deep}}`,
        `{"selection": ${"{\"a\":".repeat(90_000)}1${"}".repeat(90_000)}}`
      ]
      for (const body of bodies) {
        const answer = yield* ask(api, "/api/dead/discard", { body })
        assert.strictEqual(answer.status, 400, body.slice(0, 30))
        assert.isNotEmpty(tagOf(answer), body.slice(0, 30))
      }
      assert.deepStrictEqual(yield* auditRows, [])
    }).pipe(Effect.scoped))

  it.effect("fields that are not in the contract: what was misspelt would have met more than was meant", () =>
    Effect.gen(function*() {
      yield* harm
      const api = yield* handlerWith({ writes: true })
      const refused: ReadonlyArray<readonly [string, unknown]> = [
        ["/api/dead/discard", { selection: { type: "deal.made", eror: "refused" } }],
        ["/api/dead/discard", `{"selection": {"type": "deal.made", "__proto__": {"error": "refused"}}}`],
        ["/api/dead/discard", `{"selection": {"__proto__": {"type": "deal.made"}}}`],
        ["/api/dead/discard", `{"selection": {"constructor": {"prototype": {"type": "deal.made"}}}}`],
        ["/api/dead/discard", `{"__proto__": {"selection": "all"}}`],
        ["/api/dead/redrive", { selection: "all", expects: 1 }],
        ["/api/dead/discard", { selection: ["all"] }],
        ["/api/flow/pause", { kind: "type", name: "x", by: "somebody else" }],
        ["/api/keys/unblock", { key: "k\u0000" }],
        ["/api/keys/unblock", `{"key": "\\ud800"}`],
        ["/api/consumers/parked/retry", { subscription: "mails\u0000", events: "all" }],
        ["/api/projections/rebuild", { name: "a\u0000" }],
        ["/api/dead/redrive", { selection: "all", rate: 0 }],
        ["/api/dead/redrive", { selection: "all", rate: 1e-300 }],
        ["/api/dead/discard", { selection: { olderThan: "999999999d" } }],
        ["/api/maintenance/purge", { kind: "delivered", olderThan: "-1d" }],
        ["/api/maintenance/purge", { kind: "toString", olderThan: "1d" }]
      ]
      for (const [path, body] of refused) {
        const answer = yield* ask(api, path, { body })
        assert.strictEqual(answer.status, 400, `${path} ${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`)
      }
      assert.deepStrictEqual(yield* auditRows, [])
      for (const path of ["/api/entries?typ=x", "/api/dead?__proto__=x"]) {
        assert.strictEqual((yield* ask(api, path)).status, 400, path)
      }
      // Names that JavaScript gives a meaning to are names like others.
      for (const name of ["__proto__", "constructor", "toString"]) {
        assert.deepStrictEqual((yield* ask(api, "/api/flow/pause", { body: { kind: "type", name } })).body, {
          changed: true
        })
        assert.deepStrictEqual((yield* ask(api, `/api/entries?type=${name}`)).body, { items: [], next: null })
        const state = yield* ask(api, `/api/streams/state?aggregateType=${name}&aggregateId=${name}`)
        assert.strictEqual(state.status, 404)
      }
    }).pipe(Effect.scoped))

  it.effect("cursors that no page has given, as what they are", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const api = yield* handlerWith()
      const id = idOf(1)
      const refused: ReadonlyArray<readonly [path: string, after: string]> = [
        ["/api/entries?", "%00"],
        ["/api/entries?", text64(["entries all", "x'; DROP TABLE zakops.outbox; --"])],
        ["/api/entries?", text64(["entries all", id, id])],
        ["/api/entries?", text64({ 0: "entries all", 1: id })],
        ["/api/entries?", text64(["entries dead", "1"])],
        ["/api/entries?", "W".repeat(500)],
        ["/api/entries?state=dead&", text64(["entries dead", "9999999999999999999"])],
        ["/api/entries?state=delivered&", text64(["entries delivered", "2026-13-45 99:99:99+00", id])],
        ["/api/entries?state=delivered&", text64(["entries delivered", "999999-01-01 00:00:00+00", id])],
        ["/api/entries?state=delivered&", text64(["entries delivered", "----------", id])],
        ["/api/entries?state=behind&", text64(["entries behind", "a\u0000b", "1"])],
        ["/api/entries?state=pending&", text64(["entries pending", "-infinity", "9999999999999999999"])],
        ["/api/audit?", text64(["audit", "9999999999999999999"])],
        ["/api/audit?", text64(["audit", 1])],
        ["/api/dead?", "9999999999999999999"],
        ["/api/dead?", "-1"],
        ["/api/streams?", text64(["streams", "a\u0000", "b"])],
        ["/api/streams/log?", "99999999999999999999:1"],
        ["/api/streams/log?", "1:9999999999999999999"],
        ["/api/streams/log?", "1:-1"],
        ["/api/streams/tail?", "1:9999999999999999999"]
      ]
      for (const [path, after] of refused) {
        const answer = yield* ask(api, `${path}after=${after}`)
        assert.strictEqual(`${answer.status} ${tagOf(answer)}`, "400 InvalidRequest", `${path} ${after}`)
      }
      // The largest that there can be are no mistake.
      const last = "9223372036854775807"
      for (
        const path of [`/api/dead?after=${last}`, `/api/entries?state=dead&after=${text64(["entries dead", last])}`]
      ) {
        assert.strictEqual((yield* ask(api, path)).status, 200, path)
      }
    }).pipe(Effect.scoped))

  it.effect("to forget who is asking too much, under whatever address", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ tokens, rate: 1 })
      const from = (n: number, token: string) =>
        Effect.map(
          ask(api, "/api/session", {
            token,
            headers: { "x-forwarded-for": `10.0.0.${n}`, "x-real-ip": `10.0.0.${n}`, forwarded: `for=10.0.0.${n}` }
          }),
          ({ headers, status }) => `${status} ${headers.get("retry-after") ?? ""}`.trim()
        )
      const answers = yield* Effect.forEach(Array.from({ length: 20 }, (_, n) => n), (n) => from(n, secrets.ann))
      assert.isAtMost(answers.filter((answer) => answer === "200").length, 6)
      assert.include(answers, "429 1")
      const guesses = yield* Effect.forEach(Array.from({ length: 60 }, (_, n) => n), (n) =>
        from(n, `guess ${n} of sixty`))
      assert.isAtMost(
        guesses.filter((answer) =>
          answer === "401"
        ).length,
        30
      )
      // Those who guess take nothing from those who know.
      assert.strictEqual(yield* from(1, secrets.bob), "200")
    }).pipe(Effect.scoped))

  it.effect("to say by an ETag what it would not say: whoever may not look is not told that nothing has changed", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const api = yield* handlerWith({ tokens })
      const mine = yield* ask(api, "/api/session", { token: secrets.ann })
      const headers = { "if-none-match": mine.headers.get("etag") ?? "" }
      assert.strictEqual((yield* ask(api, "/api/session", { headers })).status, 401)
      assert.strictEqual((yield* ask(api, "/api/session", { headers, token: "guessed-at-random" })).status, 401)
      assert.strictEqual((yield* ask(api, "/api/session", { headers, token: secrets.bob })).status, 200)
      assert.strictEqual((yield* ask(api, "/api/session", { headers, token: secrets.ann })).status, 304)
      for (const answer of [mine, yield* ask(api, "/api/session")]) {
        assert.include(answer.headers.get("vary"), "authorization")
        assert.match(answer.headers.get("cache-control") ?? "", /private, no-cache|no-store/)
      }
    }).pipe(Effect.scoped))
})
