/** Who may ask, and from where: tokens and roles, writes, hosts and origins, the rate, and what refuses each. */
import { assert, layer } from "@effect/vitest"
import { make } from "@zakops/admin/AdminHandler"
import { ConsoleConfig } from "@zakops/admin/server/ConsoleConfig"
import { exposure } from "@zakops/admin/ConsoleServer"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import type { Question } from "../support/adminServer.ts"
import { ask, handlerWith, secrets, settingsOf, tagOf, tokens } from "../support/adminServer.ts"
import { auditRows } from "../support/deadLetters.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const pause: Question = { body: { kind: "type", name: "x" } }

layer(TestDatabase.layer)("the API", (it) => {
  it.effect("needs a token where any is set, and lets each do what its role says", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ tokens, writes: true })
      const none = yield* ask(api, "/api/session")
      assert.strictEqual(`${none.status} ${tagOf(none)}`, "401 Unauthorized")
      assert.strictEqual(none.headers.get("www-authenticate"), "Bearer")
      for (const token of ["x", secrets.ann.slice(0, -1), `${secrets.ann}x`, "undefined"]) {
        assert.strictEqual(tagOf(yield* ask(api, "/api/session", { token })), "Unauthorized", token)
      }
      const ann = yield* ask(api, "/api/session", { token: secrets.ann })
      assert.deepInclude(ann.body, { name: "ann", role: "operate", mayChange: true })
      const bob = yield* ask(api, "/api/session", { token: secrets.bob })
      assert.deepInclude(bob.body, { name: "bob", role: "read", mayChange: false })

      assert.strictEqual(tagOf(yield* ask(api, "/api/flow/pause", pause)), "Unauthorized")
      const refused = yield* ask(api, "/api/flow/pause", { ...pause, token: secrets.bob })
      assert.strictEqual(`${refused.status} ${tagOf(refused)}`, "403 Forbidden")
      assert.deepStrictEqual(yield* auditRows, [])
      const done = yield* ask(api, "/api/flow/pause", { ...pause, token: secrets.ann })
      assert.deepStrictEqual(done.body, { changed: true })
      assert.deepStrictEqual(yield* auditRows, [{ by: "ann", action: "pause", filter: { type: "x" }, count: 1 }])
    }).pipe(Effect.scoped))

  it.effect("changes nothing until writes are on, whoever asks; what only looks is no write", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ tokens })
      const token = secrets.ann
      const selection = { selection: "all" }
      const writes: ReadonlyArray<readonly [string, unknown]> = [
        ["/api/flow/pause", pause.body],
        ["/api/flow/resume", pause.body],
        ["/api/dead/redrive", selection],
        ["/api/dead/discard", selection],
        ["/api/keys/unblock", { key: "k" }],
        ["/api/keys/discard-head", { key: "k" }],
        ["/api/consumers/parked/retry", { subscription: "s", events: "all" }],
        ["/api/consumers/parked/discard", { subscription: "s", events: "all" }],
        ["/api/projections/rebuild", { name: "p" }],
        ["/api/projections/switch", { name: "p", version: 1 }],
        ["/api/maintenance/purge", { kind: "delivered", olderThan: "1d" }]
      ]
      const before = yield* auditRows
      for (const [path, body] of writes) {
        const answer = yield* ask(api, path, { body, token })
        assert.strictEqual(`${answer.status} ${tagOf(answer)}`, "403 WritesOff", path)
      }
      assert.deepStrictEqual(yield* auditRows, before)
      assert.strictEqual((yield* ask(api, "/api/dead/preview", { body: selection, token })).status, 200)
      const purge = { kind: "delivered", olderThan: "1d" }
      assert.strictEqual((yield* ask(api, "/api/maintenance/purge/preview", { body: purge, token })).status, 200)
    }).pipe(Effect.scoped))

  it.effect("answers only for its own hosts, and no page of another site", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ writes: true, hosts: ["ops.example.com"] })
      const from = (headers: Readonly<Record<string, string>>, question: Question = {}) =>
        Effect.map(ask(api, "/api/flow", { ...question, headers }), ({ status }) => status)
      assert.strictEqual(yield* from({}), 200)
      assert.strictEqual(yield* from({ host: "localhost:9" }), 200)
      assert.strictEqual(yield* from({ host: "[::1]:8480" }), 200)
      assert.strictEqual(yield* from({ host: "OPS.example.com:8443" }), 200)
      for (
        const host of [
          "evil.example.com",
          "127.0.0.1.evil.example.com",
          "ops.example.com.evil.com",
          "",
          "localhost@evil.com"
        ]
      ) {
        assert.strictEqual(yield* from({ host }), 403, host)
      }
      const change = (headers: Readonly<Record<string, string>>) =>
        Effect.map(ask(api, "/api/flow/pause", { ...pause, headers }), ({ status }) => status)
      assert.strictEqual(yield* change({ origin: "http://127.0.0.1:8480" }), 200)
      // A proxy names this machine, and the page the public host.
      assert.strictEqual(yield* change({ origin: "https://ops.example.com" }), 200)
      assert.strictEqual(yield* change({ "sec-fetch-site": "same-origin" }), 200)
      for (
        const headers of [
          { origin: "http://evil.example.com" },
          { origin: "null" },
          { origin: "http://127.0.0.1:9999" },
          { origin: "http://localhost:8480" },
          { "sec-fetch-site": "cross-site" },
          { "sec-fetch-site": "same-site" }
        ]
      ) assert.strictEqual(yield* change(headers), 403, JSON.stringify(headers))
      // A form of another site can send text, and nothing else.
      const form = yield* ask(api, "/api/flow/pause", { ...pause, headers: { "content-type": "text/plain" } })
      assert.strictEqual(form.status, 415)
      // A link from elsewhere may open the page.
      const link = yield* ask(api, "/", { headers: { "sec-fetch-site": "cross-site" } })
      assert.notStrictEqual(link.status, 403)
    }).pipe(Effect.scoped))

  it.effect("lets no token ask faster than the rate, and wrong ones far less", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ tokens, rate: 3 })
      const statuses = (token: string, times: number) =>
        Effect.forEach(Array.from({ length: times }), () =>
          Effect.map(ask(api, "/api/flow", { token }), ({ status }) => status))
      const passed = (all: ReadonlyArray<number>, status: number) => {
        const first = all.filter((one) =>
          one === status
        ).length
        assert.isTrue(all.every((one, n) => one === (n < first ? status : 429)))
        return first
      }
      // Time stands still: what is in the bucket passes, and no more.
      assert.strictEqual(passed(yield* statuses(secrets.ann, 20), 200), 12)
      const over = yield* ask(api, "/api/flow", { token: secrets.ann })
      assert.strictEqual(`${over.headers.get("retry-after")} ${tagOf(over)}`, "1 TooManyRequests")
      assert.strictEqual(passed(yield* statuses(secrets.bob, 1), 200), 1)
      assert.strictEqual(passed(yield* statuses("wrong", 30), 401), 20)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(passed(yield* statuses(secrets.ann, 10), 200), 3)
      assert.strictEqual(passed(yield* statuses("wrong", 10), 401), 5)
    }).pipe(Effect.scoped))

  it.effect("says in its log that tokens are guessed, once a minute", () => {
    const said: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => void said.push(String(message)))
    return Effect.gen(function*() {
      const api = yield* handlerWith({ tokens })
      const guess = (times: number) =>
        Effect.forEach(Array.from({ length: times }), () => ask(api, "/api/flow", { token: "wrong" }))
      yield* guess(20)
      assert.deepStrictEqual(said, [])
      yield* guess(20)
      assert.deepStrictEqual(said, ["wrong tokens are tried more than 5 times a second: somebody may be guessing"])
      yield* TestClock.adjust("1 minute")
      yield* guess(40)
      assert.lengthOf(said, 2)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger]), { local: true }))
  })

  it.effect("gives its docs five times a second to all together; files and the want of a token are not counted", () =>
    Effect.gen(function*() {
      const api = yield* handlerWith({ tokens, rate: 1 })
      const docs = ["/api/docs", "/api/openapi.json"] as const
      const statuses = (paths: ReadonlyArray<string>, times: number) =>
        Effect.forEach(
          Array.from({ length: times }),
          (_, n) => Effect.map(ask(api, paths[n % paths.length] ?? ""), ({ status }) => status)
        )
      assert.deepStrictEqual(yield* statuses(docs, 21), [...Array.from({ length: 20 }, () => 200), 429])
      for (const [path, method] of [[docs[0], "GET"], [docs[1], "GET"], [docs[0], "HEAD"]] as const) {
        const refused = yield* ask(api, path, { method })
        assert.strictEqual(`${refused.status} ${refused.headers.get("retry-after")}`, "429 1", `${method} ${path}`)
        assert.strictEqual(refused.headers.get("cache-control"), "no-store")
        if (method === "GET") assert.deepInclude(refused.body, { _tag: "TooManyRequests", retryAfter: 1 })
      }
      assert.notInclude(yield* statuses(["/", "/assets/nothing.js"], 100), 429)
      assert.deepStrictEqual([...new Set(yield* statuses(["/api/session"], 100))], [401])
      // Nor does it take anything from who has a token.
      assert.strictEqual((yield* ask(api, "/api/session", { token: secrets.ann })).status, 200)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* statuses(docs, 6), [200, 200, 200, 200, 200, 429])
    }).pipe(Effect.scoped))

  it.effect("is made without a token only where that was said", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(Effect.provide(make(), ConsoleConfig.layerWith({})))
      assert.strictEqual(refused._tag, "NotProtected")
      yield* handlerWith({})
    }).pipe(Effect.scoped))

  it.effect("listens beyond this machine only with a token, and knowing its hosts", () =>
    Effect.gen(function*() {
      const exposed = (settings: Parameters<typeof settingsOf>[0]) => Effect.map(settingsOf(settings), exposure)
      for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "::1"]) assert.isUndefined(yield* exposed({ host }))
      for (const host of ["0.0.0.0", "::", "192.168.1.5", "example.com", "127.0.0.1.example.com"]) {
        assert.include(yield* exposed({ host }), "no token", host)
      }
      assert.include(yield* exposed({ host: "0.0.0.0", tokens }), "CONSOLE_HOSTS")
      assert.isUndefined(yield* exposed({ host: "0.0.0.0", tokens, hosts: ["a"] }))
      assert.isUndefined(yield* exposed({ host: "192.168.1.5", tokens }))
    }))
})
