/** What stands around every page: the way to each by mouse and by key, light and dark, the updates, the keys, and what is told. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { goTo, noticed, until } from "./looks.ts"
import { serve, Served } from "./servers.ts"

/** As the navigation has them, with the key behind `g`. */
const places = [
  ["Overview", "o"],
  ["Entries", "e"],
  ["Dead letters", "d"],
  ["Blocked keys", "k"],
  ["Pauses", "f"],
  ["Consumers", "c", "Consumers and projections"],
  ["Streams", "s"],
  ["Tail", "t"],
  ["Doctor", "h"],
  ["Audit", "a"]
] as const

const heading = (page: Page, name: string) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor()

/** From 0, black, to 255. */
const brightness = async (page: Page): Promise<number> => {
  const colour = String(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
  const parts = colour.match(/\d+/g)?.slice(0, 3).map(Number) ?? []
  return parts.reduce((sum, part) => sum + part, 0) / parts.length
}
const isLight = (page: Page) => until(async () => await brightness(page) > 200)
const isDark = (page: Page) => until(async () => await brightness(page) < 50)

export const frame = (it: Vitest.MethodsNonLive<Browser | Served | PgClient.PgClient | SqlClient>) => {
  it.effect("leads to every page by its link, and by its key", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}#/entries`, {}, async (page) => {
        await heading(page, "Entries")
        const navigation = page.getByRole("navigation", { name: "Pages", exact: true })
        for (const [name, , title = name] of places) {
          await navigation.getByRole("link", { name: new RegExp(`^${name}`) }).click()
          await heading(page, title)
          assert.strictEqual(await page.title(), `${title} · ZakOps Outbox`)
          const current = navigation.locator("[aria-current=page]")
          assert.strictEqual(await current.count(), 1)
          assert.include(await current.textContent(), name)
        }
        for (const [name, key, title = name] of places) {
          await page.keyboard.type(`g${key}`)
          await heading(page, title)
        }
        await page.getByRole("link", { name: "ZakOps Outbox" }).click()
        await heading(page, "Overview")
        await goTo(page, "#/nowhere", "No such page")
        await page.getByRole("link", { name: "To the overview" }).click()
        await heading(page, "Overview")
      })
    }))

  it.effect("is light or dark as the reader says, by key and by button, and stays so when it is loaded anew", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      // At an address of its own: what is chosen is kept for the address.
      const url = yield* serve()
      yield* visit(url, {}, async (page) => {
        await heading(page, "Overview")
        await isLight(page)
        await page.keyboard.press("T")
        await isDark(page)
        await page.reload()
        await isDark(page)
        await page.getByRole("button", { name: "Light", exact: true }).click()
        await isLight(page)
        await page.getByRole("button", { name: "Dark", exact: true }).waitFor()
        // The choice is the reader's, whatever the system is.
        await page.emulateMedia({ colorScheme: "dark" })
        await page.reload()
        await page.getByRole("button", { name: "Dark", exact: true }).waitFor()
        await isLight(page)
      })
      yield* visit(url, { dark: true }, async (page) => {
        await heading(page, "Overview")
        await isDark(page)
        await page.keyboard.press("T")
        await isLight(page)
        await page.reload()
        await isLight(page)
      })
    })))

  it.effect("stops and resumes the updates, and shows the keys, by its buttons", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(yield* Served, {}, async (page) => {
        await heading(page, "Overview")
        await page.getByRole("button", { name: "Live", exact: true }).click()
        const stopped = page.getByRole("button", { name: "Updates stopped", pressed: true })
        await stopped.click()
        await page.getByRole("button", { name: "Live", pressed: false }).waitFor()
        await page.getByRole("button", { name: "Keys", exact: true }).click()
        const dialog = page.getByRole("dialog", { name: "Keys" })
        assert.includeMembers(await dialog.locator(".keys > div").allTextContents(), [
          ...places.map(([name, key]) => `g${key}${name}`),
          "Tlight or dark"
        ])
        await dialog.getByRole("button", { name: "Close" }).click()
        await dialog.waitFor({ state: "detached" })
      })
    }))

  it.effect("asks again by the button beside what went wrong", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(yield* Served, { expected: /status of 503/ }, async (page) => {
        await heading(page, "Overview")
        await page.route(/\/api\/audit/, (route) => route.fulfill({ status: 503, body: "" }))
        await goTo(page, "#/audit", "Audit")
        const again = page.getByRole("button", { name: "Try again" })
        await again.waitFor()
        assert.strictEqual(await page.locator("tbody tr").count(), 0)
        await page.unroute(/\/api\/audit/)
        await again.click()
        await page.locator("tbody tr").first().waitFor()
        await again.waitFor({ state: "detached" })
      })
    }))

  it.effect("tells what was refused until it is dismissed", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      yield* visit(`${yield* Served}#/flow`, { expected: /status of 400/ }, async (page) => {
        await heading(page, "Pauses")
        await page.getByLabel("Event type").fill("x".repeat(501))
        await page.getByRole("button", { name: "Pause", exact: true }).click()
        await noticed(page, "longer than 500 characters")
        assert.strictEqual(await page.getByLabel("Event type").inputValue(), "x".repeat(501))
        await page.getByRole("button", { name: "Dismiss" }).click()
        await page.locator(".notice").waitFor({ state: "detached" })
        assert.deepStrictEqual(await run(sql`SELECT 1 FROM zakops.flow WHERE name LIKE 'xxx%'`), [])
      })
    }))
}
