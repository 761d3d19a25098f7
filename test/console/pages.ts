/** Every page is there, says what it has to, is accessible in light and dark, and fits a phone. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { markupIn } from "./hostile.ts"
import { axeFindings, goTo, overhang } from "./looks.ts"
import { Served } from "./servers.ts"
import { World } from "./world.ts"

interface Visited {
  readonly hash: string
  readonly heading: string | RegExp
  /** What has to be on it, besides its heading. */
  readonly shows: (page: Page) => Promise<void>
}

const text = (...words: ReadonlyArray<string | RegExp>) => async (page: Page) => {
  for (const word of words) await page.locator("main").getByText(word).filter({ visible: true }).first().waitFor()
}

const visitedIn = ({ hostileId, routedId }: World["Service"]): ReadonlyArray<Visited> => [
  {
    hash: "#/",
    heading: "Overview",
    shows: async (page) => {
      await text("connect ETIMEDOUT", "app-1.prod:411", "polling", "crm")(page)
      // The largest thing on the page is the age of the oldest.
      const sizes = await page.evaluate(
        `[...document.querySelectorAll("main *")].filter((e) => e.childElementCount === 0 && e.textContent.trim() !== "")
          .map((e) => [parseFloat(getComputedStyle(e).fontSize), e.className])
          .sort(([a], [b]) => b - a)`
      ) as ReadonlyArray<readonly [number, string]>
      assert.strictEqual(sizes[0]?.[1], "oldest-age")
      assert.isAbove(sizes[0]?.[0] ?? 0, sizes[1]?.[0] ?? 0)
      await page.locator(".chart canvas").first().waitFor()
    }
  },
  { hash: "#/entries", heading: "Entries", shows: text("deal.stage_changed", "behind", "held", "delivered") },
  {
    hash: `#/entries/${hostileId}`,
    heading: markupIn("type"),
    shows: text("Attempt 1: failed", "its lease expired", "Dead: delivered no more by itself", "9007199254740993")
  },
  { hash: `#/entries/${routedId}`, heading: "deal.won", shows: text("At each destination", "webhook", "crm") },
  { hash: "#/dead", heading: "Dead letters", shows: text("mailbox unavailable: 550 5.1.1 user 4000") },
  { hash: "#/keys", heading: "Blocked keys", shows: text("deal/d-77", "deal/d-78") },
  { hash: "#/flow", heading: "Pauses", shows: text("report.ordered", "mira") },
  {
    hash: "#/consumers?parked=mailer",
    heading: "Consumers and projections",
    shows: text("mailer", "Parked by mailer", "behind another", "pipeline", "building", "stopped")
  },
  { hash: "#/streams", heading: "Streams", shows: text("d-24") },
  {
    hash: "#/streams/deal/d-10?version=1",
    heading: "deal d-10",
    shows: text("deal.stage_changed", "State at version 1", `"Office in Lyon"`)
  },
  { hash: "#/tail", heading: "Tail", shows: text("action.added", "live") },
  {
    hash: "#/doctor",
    heading: "Doctor",
    shows: async (page) => {
      await text("retention", "ok", "notice")(page)
      // A finding that is a notice is not one of those that tell what was done.
      const shadows = await page.evaluate(
        `[...document.querySelectorAll(".checks li")].map((row) => getComputedStyle(row).boxShadow)`
      ) as ReadonlyArray<string>
      assert.deepStrictEqual([...new Set(shadows)], ["none"])
    }
  },
  { hash: "#/audit", heading: "Audit", shows: text("redrive", "jon", "212") },
  { hash: "#/nowhere/at/all", heading: "No such page", shows: text("The address leads nowhere") }
]

/** Milliseconds. axe takes a second for a page, and more where the machine is busy. */
const longest = 300_000

export const pages = (it: Vitest.MethodsNonLive<Browser | Served | World>) => {
  it.effect("shows every page, each accessible, in light and in dark", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const visited = visitedIn(yield* World)
      yield* visit(url, {}, async (page) => {
        const found: Array<string> = []
        for (const { hash, heading, shows } of visited) {
          await goTo(page, hash, heading)
          await shows(page)
          const findings = await axeFindings(page)
          await page.emulateMedia({ colorScheme: "dark" })
          const dark = await axeFindings(page, ["color-contrast"])
          await page.emulateMedia({ colorScheme: "light" })
          found.push(...[...findings, ...dark].map((finding) => `${hash}: ${finding}`))
        }
        assert.deepStrictEqual(found, [])
      })
    }), longest)

  it.effect("fits a phone on every page, and stays accessible", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const visited = visitedIn(yield* World)
      yield* visit(url, { phone: true }, async (page) => {
        const found: Array<string> = []
        for (const { hash, heading, shows } of visited) {
          await goTo(page, hash, heading)
          if (hash !== "#/") await shows(page)
          const over = await overhang(page)
          if (over > 0) found.push(`${hash}: ${over} pixels too wide`)
          found.push(
            ...(await axeFindings(page, ["scrollable-region-focusable", "label", "button-name", "target-size"]))
          )
        }
        assert.deepStrictEqual(found, [])
      })
    }), longest)

  it.effect("keeps its filters in the address, opens at a deep address, and comes back to it", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      yield* visit(`${url}#/entries?state=delivered&type=deal.created`, {}, async (page) => {
        await page.getByRole("heading", { level: 1, name: "Entries" }).waitFor()
        const rows = page.locator("tbody tr")
        await rows.first().waitFor()
        assert.strictEqual(await rows.count(), 4)
        assert.strictEqual(await page.getByLabel("State").inputValue(), "delivered")
        await page.getByLabel("State").selectOption("dead")
        await page.getByLabel("Error contains").fill("ETIMEDOUT")
        await page.waitForURL(/state=dead.*error=ETIMEDOUT/)
        await page.getByText("10.0.4.8").waitFor()
        assert.strictEqual(await rows.count(), 10)
        const address = page.url()
        await rows.first().getByRole("link").first().click()
        await page.getByRole("heading", { level: 1, name: "deal.created" }).waitFor()
        await page.goBack()
        await page.waitForURL(address)
        assert.strictEqual(await page.getByLabel("Error contains").inputValue(), "ETIMEDOUT")
      })
    }))
}
