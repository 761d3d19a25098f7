/** Who sees what and may do what: tokens, roles, writes that are off; and the console under a path of its own. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { markupIn } from "./hostile.ts"
import { goTo } from "./looks.ts"
import { secrets, serve, tokens } from "./servers.ts"
import { World } from "./world.ts"

const refused = /401 \(Unauthorized\)/

/** Every button that would change something, on any page. */
const changing = async (page: Page, { hostileId }: World["Service"]) => {
  const found: Array<string> = []
  const places = [
    ["#/", "Overview"],
    ["#/dead", "Dead letters"],
    [`#/entries/${hostileId}`, markupIn("type")],
    ["#/keys", "Blocked keys"],
    ["#/flow", "Pauses"],
    ["#/consumers?parked=mailer", "Consumers and projections"],
    ["#/doctor", "Doctor"]
  ] as const
  for (const [hash, heading] of places) {
    await goTo(page, hash, heading)
    await page.locator("main .panel, main .table-frame").first().waitFor()
    await page.locator(".who").waitFor()
    const names = /^(Redrive|Discard|Unblock|Pause|Resume|Retry|Rebuild|Make live|Count)/
    found.push(...await page.locator("main").getByRole("button", { name: names }).allTextContents())
  }
  return found
}

export const access = (it: Vitest.MethodsNonLive<Browser | World | PgClient.PgClient | SqlClient>) => {
  it.effect("asks for a token, says when it is wrong, and lets in whoever has a right one", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* serve({ tokens })
      yield* visit(url, { expected: refused }, async (page) => {
        await page.getByText("This server wants a token").waitFor()
        assert.strictEqual(await page.getByRole("navigation").count(), 0)
        await page.getByLabel("Token").fill("not-one-of-them")
        await page.getByRole("button", { name: "Sign in" }).click()
        await page.getByText("The token was refused.").waitFor()
        await page.getByLabel("Token").fill(secrets.operate)
        await page.keyboard.press("Enter")
        await page.getByText("may change").waitFor()
        await page.locator(".who").getByText("mira").waitFor()
        // It is kept for the tab, and nowhere else.
        await page.reload()
        await page.locator(".who").getByText("mira").waitFor()
        assert.deepStrictEqual(await page.context().cookies(), [])
        assert.strictEqual(await page.evaluate("localStorage.length"), 0)
        await page.getByRole("button", { name: "Sign out" }).click()
        await page.getByText("This server wants a token").waitFor()
      })
    })))

  it.effect("takes a token out of its address, and keeps it out of the history", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* serve({ tokens })
      yield* visit(`${url}#token=${secrets.read}`, {}, async (page) => {
        await page.locator(".who").getByText("nils").waitFor()
        assert.notInclude(page.url(), "token")
        assert.strictEqual(await page.evaluate("history.length"), 2)
      })
    })))

  it.effect("shows a reader everything and nothing to change, and the server does not take it either", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      const world = yield* World
      const url = yield* serve({ tokens })
      yield* visit(`${url}#token=${secrets.read}`, { expected: /403 \(Forbidden\)/ }, async (page) => {
        await page.getByText("read only").waitFor()
        assert.deepStrictEqual(await changing(page, world), [])
        assert.strictEqual(await page.getByRole("checkbox").count(), 0)
        const status = await page.evaluate(`fetch("api/dead/discard", {
          method: "POST",
          headers: { authorization: "Bearer ${secrets.read}", "content-type": "application/json" },
          body: JSON.stringify({ selection: "all" })
        }).then(({ status }) => status)`)
        assert.strictEqual(status, 403)
      })
    })))

  it.effect("with writes off nobody may change anything", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      const world = yield* World
      const url = yield* serve({ tokens, writes: false })
      yield* visit(`${url}#token=${secrets.operate}`, {}, async (page) => {
        await page.getByText("read only").waitFor()
        assert.deepStrictEqual(await changing(page, world), [])
      })
    })))

  it.effect("works under a path, from every page that is opened there", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* serve({ basePath: "/ops/outbox" })
      assert.match(url, /\/ops\/outbox\/$/)
      // Without the slash it leads to the one with it.
      yield* visit(url.slice(0, -1), {}, async (page) => {
        await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor()
        assert.strictEqual(page.url().split("#")[0], url)
        await page.getByRole("link", { name: /^Dead letters/ }).click()
        await page.locator("tbody tr").first().waitFor()
        await page.reload()
        await page.locator("tbody tr").first().waitFor()
        await page.getByRole("heading", { level: 1, name: "Dead letters" }).waitFor()
      })
    })))
}
