/** Everything can be done with the keyboard alone, and it goes where one expects it. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Browser } from "./Browser.ts"
import { noticed, rowsAre, until } from "./looks.ts"
import { Served } from "./servers.ts"
import { putEntries } from "./putEntries.ts"

const focused = `document.activeElement?.textContent ?? ""`

export const keyboard = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient>) => {
  it.effect("finds, opens and redrives a dead letter without a mouse", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const sql = yield* SqlClient
      const [id] = yield* putEntries([{ type: "by.keyboard", status: "dead", error: "to be redriven by hand", ago: 5 }])
      yield* visit(url, {}, async (page) => {
        const keys = page.keyboard
        await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor()
        // The first stop of Tab leads past the navigation.
        await keys.press("Tab")
        assert.strictEqual(await page.evaluate(focused), "To the page")
        await keys.press("?")
        await page.getByRole("dialog", { name: "Keys" }).waitFor()
        await keys.press("Escape")
        await page.getByRole("dialog").waitFor({ state: "detached" })
        await keys.type("gd")
        await page.getByRole("heading", { level: 1, name: "Dead letters" }).waitFor()
        assert.strictEqual(await page.evaluate(focused), "Dead letters")
        await keys.press("/")
        await keys.type("redriven by hand")
        await page.waitForURL(/error=redriven/)
        await page.locator("tbody tr").filter({ hasText: "by.keyboard" }).waitFor()
        await rowsAre(page, 1)
        await keys.press("Escape")
        await keys.press("j")
        assert.include(await page.evaluate(focused), "by.keyboard")
        await keys.press("x")
        await page.getByRole("button", { name: "Redrive 1 chosen…" }).waitFor()
        await keys.press("Enter")
        await page.getByRole("heading", { level: 1, name: "by.keyboard" }).waitFor()
        await page.getByRole("button", { name: "Redrive…" }).focus()
        await keys.press("Enter")
        await page.getByRole("dialog").getByText("1 entry").waitFor()
        // The keyboard stays in the dialog, and reaches its button.
        const action = page.getByRole("dialog").getByRole("button", { name: "Redrive 1" })
        for (let n = 0; n < 8 && !(await action.evaluate((button) => button.matches(":focus"))); n++) {
          await keys.press("Tab")
        }
        assert.isTrue(await action.evaluate((button) => button.matches(":focus")))
        await keys.press("Enter")
        await noticed(page, "1 entry will be tried again.")
        await page.getByRole("dialog").waitFor({ state: "detached" })
      })
      assert.deepStrictEqual(
        yield* sql`SELECT status, redrives FROM zakops.outbox WHERE id = ${id ?? ""}::uuid`,
        [{ status: "pending", redrives: 1 }]
      )
      yield* sql`DELETE FROM zakops.outbox WHERE id = ${id ?? ""}::uuid`
    }))

  it.effect("leaves keys alone that are typed into a field or meant for the browser", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}#/entries`, {}, async (page) => {
        await page.getByRole("heading", { level: 1, name: "Entries" }).waitFor()
        await page.getByLabel("Event type").focus()
        await page.keyboard.type("gd?p")
        assert.strictEqual(await page.getByLabel("Event type").inputValue(), "gd?p")
        await page.getByRole("heading", { level: 1, name: "Entries" }).waitFor()
        assert.strictEqual(await page.getByRole("dialog").count(), 0)
      })
    }))

  it.effect("walks the rows of a table there and back, and leads past the navigation", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}#/streams?aggregateType=deal`, {}, async (page) => {
        const keys = page.keyboard
        const isAt = (text: string) => until(async () => String(await page.evaluate(focused)).includes(text))
        await page.locator("tbody tr").first().waitFor()
        await keys.press("Tab")
        await keys.press("Enter")
        await isAt("Streams")
        for (const [key, row] of [["j", "d-10"], ["j", "d-11"], ["j", "d-12"], ["k", "d-11"], ["k", "d-10"]] as const) {
          await keys.press(key)
          await isAt(row)
        }
        await keys.press("Enter")
        await page.getByRole("heading", { level: 1, name: "deal d-10" }).waitFor()
      })
    }))

  it.effect("pauses a type and resumes it without a mouse", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      const paused = sql`SELECT 1 AS one FROM zakops.flow WHERE name = 'held.by.hand' AND paused_at IS NOT NULL`
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      yield* visit(`${yield* Served}#/flow`, {}, async (page) => {
        const keys = page.keyboard
        const reach = async (name: string) => {
          const button = page.getByRole("button", { name, exact: true })
          for (let n = 0; n < 60 && !(await button.evaluate((one) => one.matches(":focus"))); n++) {
            await keys.press("Tab")
          }
          assert.isTrue(await button.evaluate((one) => one.matches(":focus")), name)
        }
        await page.getByLabel("Event type").focus()
        await keys.type("held.by.hand")
        await keys.press("Enter")
        await noticed(page, "held.by.hand is paused.")
        assert.lengthOf(await run(paused), 1)
        await page.getByRole("row").filter({ hasText: "held.by.hand" }).waitFor()
        await reach("Resume held.by.hand")
        await keys.press("Enter")
        await reach("Resume")
        await keys.press("Enter")
        await noticed(page, "held.by.hand is resumed.")
        await page.getByRole("dialog").waitFor({ state: "detached" })
      })
      assert.lengthOf(yield* paused, 0)
    }))
}
