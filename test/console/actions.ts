/** Everything that can be changed is changed, by whoever may, as the database then shows, with a row in the audit. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Browser } from "./Browser.ts"
import { confirm, goTo, noticed, rowsAre } from "./looks.ts"
import { Served } from "./servers.ts"
import { putEntries } from "./putEntries.ts"

const lastDeed = Effect.gen(function*() {
  const sql = yield* SqlClient
  const [deed] = yield* sql`SELECT action, filter, count::int AS count FROM zakops.audit ORDER BY id DESC LIMIT 1`
  return deed
})

const statusesOf = Effect.fnUntraced(function*(type: string) {
  const sql = yield* SqlClient
  return yield* sql`
    SELECT status, (discarded_at IS NOT NULL) AS discarded, count(*)::int AS count FROM zakops.outbox WHERE event_type = ${type}
    GROUP BY 1, 2 ORDER BY 1, 2`
})

const dead = (type: string, count: number) =>
  putEntries(Array.from({ length: count }, (_, n) => ({ type, status: "dead", error: `no. ${n} of ${type}` }) as const))

export const actions = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient>) => {
  it.effect("redrives all dead letters that match a filter, at a rate, after showing what that meets", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* dead("bulk.redriven", 7)
      yield* visit(`${yield* Served}#/dead?type=bulk.redriven`, {}, async (page) => {
        await page.getByRole("button", { name: "Redrive all matching…" }).click()
        const dialog = page.getByRole("dialog")
        await dialog.getByText("7 entries", { exact: true }).waitFor()
        const button = dialog.getByRole("button", { name: "Redrive 7" })
        assert.isTrue(await button.isDisabled())
        await dialog.getByLabel(/^Type/).fill("redrive 6")
        assert.isTrue(await button.isDisabled())
        await dialog.getByLabel("At most this many a second").fill("0.5")
        await confirm(page, "Redrive 7")
        await noticed(page, "7 entries will be tried again.")
        await page.getByText("No dead letter matches.").waitFor()
      })
      assert.deepStrictEqual(yield* statusesOf("bulk.redriven"), [{ status: "pending", discarded: false, count: 7 }])
      const sql = yield* SqlClient
      const [spread] = yield* sql<{ seconds: number }>`
        SELECT extract(epoch FROM max(next_attempt_at) - min(next_attempt_at))::float8 AS seconds
        FROM zakops.outbox WHERE event_type = 'bulk.redriven'`
      assert.approximately(spread?.seconds ?? 0, 12, 0.1)
      assert.deepInclude(yield* lastDeed, { action: "redrive", count: 7 })
    }))

  it.effect("discards those that are chosen, and no other", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* dead("some.discarded", 4)
      yield* visit(`${yield* Served}#/dead?type=some.discarded`, {}, async (page) => {
        for (const n of [0, 2]) {
          await page.locator("tbody tr").filter({ hasText: `no. ${n} of` }).getByRole("checkbox").check()
        }
        await page.getByRole("button", { name: "Discard 2 chosen…" }).click()
        await confirm(page, "Discard 2")
        await noticed(page, "2 entries given up.")
        await rowsAre(page, 2)
      })
      assert.deepStrictEqual(yield* statusesOf("some.discarded"), [
        { status: "dead", discarded: false, count: 2 },
        { status: "dead", discarded: true, count: 2 }
      ])
      assert.deepInclude(yield* lastDeed, { action: "discard", count: 2 })
    }))

  it.effect("changes nothing where another number matches by the time it is confirmed, and shows the new one", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const run = Effect.runPromiseWith(yield* Effect.context<SqlClient>())
      yield* dead("more.came", 2)
      yield* visit(`${yield* Served}#/dead?type=more.came`, { expected: /409 \(Conflict\)/ }, async (page) => {
        await page.getByRole("button", { name: "Discard all matching…" }).click()
        await page.getByRole("dialog").getByText("2 entries", { exact: true }).waitFor()
        await run(dead("more.came", 1))
        await confirm(page, "Discard 2")
        await page.locator(".notice.failed").waitFor()
        await page.getByRole("dialog").getByText("3 entries", { exact: true }).waitFor()
        await page.keyboard.press("Escape")
      })
      assert.deepStrictEqual(yield* statusesOf("more.came"), [{ status: "dead", discarded: false, count: 3 }])
    }))

  it.effect("discards one entry from its own page", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const [id = ""] = yield* dead("one.discarded", 1)
      yield* visit(`${yield* Served}#/entries/${id}`, {}, async (page) => {
        await page.getByRole("button", { name: "Discard…" }).click()
        await confirm(page, "Discard 1")
        await noticed(page, "1 entry given up.")
        await page.getByText("Discarded: given up by somebody").waitFor()
        assert.strictEqual(await page.getByRole("button", { name: "Redrive…" }).count(), 0)
      })
      assert.deepStrictEqual(yield* statusesOf("one.discarded"), [{ status: "dead", discarded: true, count: 1 }])
    }))

  it.effect("unblocks a key, redrives a head, and discards one", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* putEntries(["a", "b", "c"].flatMap((key) =>
        [
          { type: "blocked.head", status: "dead", key: `blocked/${key}`, blocks: true, error: "refused" },
          { type: "blocked.behind", key: `blocked/${key}`, waitsFor: "key" }
        ] as const
      ))
      yield* visit(`${yield* Served}#/keys`, {}, async (page) => {
        const row = (key: string) => page.locator("tbody tr").filter({ hasText: `blocked/${key}` })
        await row("a").getByRole("button", { name: "Unblock" }).click()
        await confirm(page, "Unblock")
        await row("a").waitFor({ state: "detached" })
        await row("b").getByRole("button", { name: "Redrive" }).click()
        await confirm(page, "Redrive 1")
        await row("b").waitFor({ state: "detached" })
        await row("c").getByRole("button", { name: "Discard" }).click()
        await confirm(page, "Discard")
        await row("c").waitFor({ state: "detached" })
      })
      const rows = yield* sql`
        SELECT ordering_key, status, blocks, discarded_at IS NOT NULL AS discarded FROM zakops.outbox
        WHERE event_type = 'blocked.head' ORDER BY ordering_key`
      assert.deepStrictEqual(rows, [
        { ordering_key: "blocked/a", status: "dead", blocks: false, discarded: false },
        { ordering_key: "blocked/b", status: "pending", blocks: false, discarded: false },
        { ordering_key: "blocked/c", status: "dead", blocks: false, discarded: true }
      ])
    }))

  it.effect("pauses and resumes a type, and a destination", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* visit(`${yield* Served}#/flow`, {}, async (page) => {
        await page.getByLabel("Event type").fill("paused.here")
        await page.getByRole("button", { name: "Pause", exact: true }).click()
        await noticed(page, "paused.here is paused.")
        await page.locator("tbody tr").filter({ hasText: "paused.here" }).getByRole("button", { name: "Resume" })
          .click()
        await confirm(page, "Resume")
        await noticed(page, "paused.here is resumed.")
        await goTo(page, "#/", "Overview")
        const crm = page.getByRole("row").filter({ has: page.getByText("crm", { exact: true }) })
        await crm.getByRole("button", { name: "Pause crm" }).click()
        await confirm(page, "Pause")
        await crm.getByText("paused").waitFor()
      })
      assert.deepStrictEqual(
        yield* sql`SELECT kind, name FROM zakops.flow WHERE paused_at IS NOT NULL AND name IN ('paused.here', 'crm')`,
        [{ kind: "destination", name: "crm" }]
      )
      yield* sql`DELETE FROM zakops.flow WHERE name = 'crm'`
    }))

  it.effect("has parked events tried again, and gives others up", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* visit(`${yield* Served}#/consumers`, {}, async (page) => {
        await page.getByRole("link", { name: "3 parked by mailer" }).click()
        const rows = page.getByRole("table", { name: "Events parked by mailer" }).locator("tbody tr")
        await rows.filter({ hasText: "mailbox unavailable" }).getByRole("checkbox").check()
        await page.getByRole("button", { name: "Retry 1…" }).click()
        await confirm(page, "Retry")
        await noticed(page, /will be tried again by whoever runs it/)
        await page.getByRole("button", { name: "Discard all…" }).click()
        await confirm(page, "Discard")
        await noticed(page, /given up by mailer/)
        await page.getByText("It has parked nothing.").waitFor()
      })
      assert.deepStrictEqual(yield* sql`SELECT 1 FROM zakops.parked_events WHERE subscription = 'mailer'`, [])
    }))

  it.effect("asks for a rebuild of a projection, and for another version to be live", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* visit(`${yield* Served}#/consumers`, {}, async (page) => {
        await page.getByRole("button", { name: "Rebuild pipeline v1" }).click()
        await confirm(page, "Rebuild")
        await noticed(page, /pipeline v1 will be emptied and built anew/)
        await page.getByText("rebuilding").waitFor()
        await page.getByRole("button", { name: "Make live pipeline v2" }).click()
        await confirm(page, "Make live")
        await noticed(page, /pipeline v2 will be live/)
      })
      assert.deepStrictEqual(
        yield* sql`SELECT version, reset_requested, switch_requested FROM zakops.projections WHERE name = 'pipeline' ORDER BY version`,
        [
          { version: 1, reset_requested: true, switch_requested: false },
          { version: 2, reset_requested: false, switch_requested: true }
        ]
      )
    }))

  it.effect("deletes what is old, after counting it", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const old = 400 * 86_400
      yield* putEntries([{ type: "long.ago", status: "delivered", ago: old }, {
        type: "long.ago",
        status: "delivered",
        ago: old
      }])
      yield* visit(`${yield* Served}#/doctor`, {}, async (page) => {
        await page.getByLabel("Older than").fill("365d")
        await page.getByRole("button", { name: "Count…" }).click()
        await page.getByRole("dialog").getByText("2 would be deleted").waitFor()
        await confirm(page, "Delete")
        await noticed(page, "2 rows deleted.")
      })
      assert.deepStrictEqual(yield* statusesOf("long.ago"), [])
    }))
}
