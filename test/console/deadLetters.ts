/** Dead letters are redriven and discarded: those that are chosen, those that match, and all; as the database then shows, with a row in the audit. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestDatabase from "../support/TestDatabase.ts"
import { Browser } from "./Browser.ts"
import { lastDeed, putDead, statusesOf } from "./deeds.ts"
import { confirm, noticed, rowsAre } from "./looks.ts"
import { serve, Served } from "./servers.ts"

export const deadLetters = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient>) => {
  it.effect("redrives all dead letters that match a filter, at a rate, after showing what that meets", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* putDead("bulk.redriven", 7)
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

  it.effect("redrives those that are chosen, and no other", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* putDead("some.redriven", 4)
      yield* visit(`${yield* Served}#/dead?type=some.redriven`, {}, async (page) => {
        await rowsAre(page, 4)
        await page.getByLabel("Choose all on this page").check()
        await page.getByRole("button", { name: "Redrive 4 chosen…" }).waitFor()
        await page.locator("tbody tr").filter({ hasText: "no. 1 of" }).getByRole("checkbox").uncheck()
        await page.getByRole("button", { name: "Redrive 3 chosen…" }).click()
        await page.getByRole("heading", { name: "Redrive 3 chosen dead letters?" }).waitFor()
        await confirm(page, "Redrive 3")
        await noticed(page, "3 entries will be tried again.")
        await rowsAre(page, 1)
        // What was chosen is chosen no more.
        await page.getByRole("button", { name: "Redrive all matching…" }).waitFor()
      })
      const sql = yield* SqlClient
      assert.deepStrictEqual(
        yield* sql`SELECT status, redrives, error_message FROM zakops.outbox WHERE event_type = 'some.redriven' AND status = 'dead'`,
        [{ status: "dead", redrives: 0, error_message: "no. 1 of some.redriven" }]
      )
      assert.deepStrictEqual(yield* statusesOf("some.redriven"), [
        { status: "dead", discarded: false, count: 1 },
        { status: "pending", discarded: false, count: 3 }
      ])
      assert.deepInclude(yield* lastDeed, { action: "redrive", count: 3 })
    }))

  it.effect("discards those that are chosen, and no other", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* putDead("some.discarded", 4)
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

  it.effect("discards all that match a filter, and no other", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* putDead("bulk.discarded", 3)
      yield* putDead("bulk.kept", 2)
      yield* visit(`${yield* Served}#/dead?type=bulk.discarded`, {}, async (page) => {
        await page.getByRole("button", { name: "Discard all matching…" }).click()
        await page.getByRole("heading", { name: "Discard all that match the filter?" }).waitFor()
        await confirm(page, "Discard 3")
        await noticed(page, "3 entries given up.")
        await page.getByText("No dead letter matches.").waitFor()
      })
      assert.deepStrictEqual(yield* statusesOf("bulk.discarded"), [{ status: "dead", discarded: true, count: 3 }])
      assert.deepStrictEqual(yield* statusesOf("bulk.kept"), [{ status: "dead", discarded: false, count: 2 }])
      assert.deepInclude(yield* lastDeed, { action: "discard", count: 3, filter: { type: "bulk.discarded" } })
    }))

  it.effect("changes nothing where another number matches by the time it is confirmed, and shows the new one", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const run = Effect.runPromiseWith(yield* Effect.context<SqlClient>())
      yield* putDead("more.came", 2)
      yield* visit(`${yield* Served}#/dead?type=more.came`, { expected: /409 \(Conflict\)/ }, async (page) => {
        await page.getByRole("button", { name: "Discard all matching…" }).click()
        await page.getByRole("dialog").getByText("2 entries", { exact: true }).waitFor()
        await run(putDead("more.came", 1))
        await confirm(page, "Discard 2")
        await page.locator(".notice.failed").waitFor()
        await page.getByRole("dialog").getByText("3 entries", { exact: true }).waitFor()
        await page.keyboard.press("Escape")
      })
      assert.deepStrictEqual(yield* statusesOf("more.came"), [{ status: "dead", discarded: false, count: 3 }])
    }))

  it.effect("redrives every dead letter there is, and discards every one", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* putDead("one.kind", 2)
      yield* putDead("another.kind", 1)
      const nothing = "No dead letters. All that was emitted is delivered, or still tried."
      yield* visit(`${yield* serve()}#/dead`, {}, async (page) => {
        await rowsAre(page, 3)
        await page.getByRole("button", { name: "Redrive all…" }).click()
        await page.getByRole("heading", { name: "Redrive every dead letter?" }).waitFor()
        await confirm(page, "Redrive 3")
        await noticed(page, "3 entries will be tried again.")
        await page.getByText(nothing).waitFor()
      })
      assert.deepStrictEqual(yield* lastDeed, { action: "redrive", filter: { all: true }, count: 3 })
      yield* putDead("one.kind", 1)
      yield* putDead("another.kind", 1)
      yield* visit(`${yield* serve()}#/dead`, {}, async (page) => {
        await rowsAre(page, 2)
        await page.getByRole("button", { name: "Discard all…" }).click()
        await page.getByRole("heading", { name: "Discard every dead letter?" }).waitFor()
        await confirm(page, "Discard 2")
        await noticed(page, "2 entries given up.")
        await page.getByText(nothing).waitFor()
      })
      assert.deepStrictEqual(yield* lastDeed, { action: "discard", filter: { all: true }, count: 2 })
      assert.deepStrictEqual(yield* statusesOf("one.kind"), [
        { status: "dead", discarded: true, count: 1 },
        { status: "pending", discarded: false, count: 2 }
      ])
      assert.deepStrictEqual(yield* statusesOf("another.kind"), [
        { status: "dead", discarded: true, count: 1 },
        { status: "pending", discarded: false, count: 1 }
      ])
      // A database of its own: it is about all that there are.
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(TestDatabase.layer))))

  it.effect("does nothing where the reader thinks better of it, or has typed a rate that is none", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* putDead("left.alone", 2)
      yield* visit(`${yield* Served}#/dead?type=left.alone`, {}, async (page) => {
        const dialog = page.getByRole("dialog")
        await page.getByRole("button", { name: "Redrive all matching…" }).click()
        await dialog.getByLabel(/^Type/).fill("redrive 2")
        const button = dialog.getByRole("button", { name: "Redrive 2" })
        assert.isTrue(await button.isEnabled())
        for (const wrong of ["0", "-1", "soon"]) {
          await dialog.getByLabel("At most this many a second").fill(wrong)
          assert.isTrue(await button.isDisabled(), wrong)
        }
        await dialog.getByRole("button", { name: "Cancel" }).click()
        await dialog.waitFor({ state: "detached" })
        await page.getByRole("button", { name: "Discard all matching…" }).click()
        await dialog.getByLabel(/^Type/).fill("discard 2")
        await page.keyboard.press("Escape")
        await dialog.waitFor({ state: "detached" })
        await rowsAre(page, 2)
      })
      assert.deepStrictEqual(yield* statusesOf("left.alone"), [{ status: "dead", discarded: false, count: 2 }])
    }))

  it.effect("discards one entry from its own page", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const [id = ""] = yield* putDead("one.discarded", 1)
      yield* visit(`${yield* Served}#/entries/${id}`, {}, async (page) => {
        await page.getByRole("button", { name: "Discard…" }).click()
        await confirm(page, "Discard 1")
        await noticed(page, "1 entry given up.")
        await page.getByText("Discarded: given up by somebody").waitFor()
        assert.strictEqual(await page.getByRole("button", { name: "Redrive…" }).count(), 0)
      })
      assert.deepStrictEqual(yield* statusesOf("one.discarded"), [{ status: "dead", discarded: true, count: 1 }])
    }))
}
