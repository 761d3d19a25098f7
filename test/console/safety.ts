/** What is in an event is shown, and never obeyed; numbers keep their digits; nothing is loaded from elsewhere. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Browser } from "./Browser.ts"
import { goTo } from "./looks.ts"
import { Served } from "./servers.ts"
import { largeNumber, markup, World } from "./world.ts"

export const safety = (it: Vitest.MethodsNonLive<Browser | Served | World>) => {
  it.effect("shows markup in payloads, errors, keys and types as text, on every page that has it", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const { hostileId } = yield* World
      yield* visit(url, {}, async (page) => {
        const places = [
          ["#/", "Overview", "main"],
          ["#/entries", "Entries", "main"],
          ["#/dead?error=onerror", "Dead letters", "main"],
          ["#/dead?by=key", "Dead letters", "main"],
          ["#/keys", "Blocked keys", "main"],
          [`#/entries/${hostileId}`, /^deal\./, "main"]
        ] as const
        for (const [hash, heading, place] of places) {
          await goTo(page, hash, heading)
          await page.locator(place).getByText("onerror=").filter({ visible: true }).first().waitFor()
          assert.strictEqual(await page.locator("main img, main script").count(), 0, hash)
        }
        const data = await page.locator(".json").first().textContent()
        assert.include(data, JSON.stringify(markup))
        assert.include(data, largeNumber)
        assert.isUndefined(await page.evaluate("window.stolen"))
      })
    }))

  it.effect("is served with a policy that obeys nothing inline and nothing from elsewhere", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      yield* visit(url, { expected: /Content Security Policy/ }, async (page) => {
        await page.getByRole("heading", { name: "Overview" }).waitFor()
        const inline = await page.evaluate(`new Promise((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective), { once: true })
          const script = document.createElement("script")
          script.textContent = "window.stolen = 1"
          document.body.append(script)
        })`)
        assert.strictEqual(inline, "script-src-elem")
        assert.isUndefined(await page.evaluate("window.stolen"))
        const html = await (await page.request.get(url)).text()
        assert.notMatch(html, /<style|style=|<script(?![^>]*\ssrc=)| on\w+=|https?:/)
      })
    }))
}
