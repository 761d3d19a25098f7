/** What others have written is shown, and never obeyed; numbers keep their digits; nothing is loaded from elsewhere. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import { format } from "@zakops/console/routing/route"
import * as Effect from "effect/Effect"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { largeNumber, markupIn, script, shortMarkup } from "./hostile.ts"
import { goTo } from "./looks.ts"
import { Served } from "./servers.ts"
import { World } from "./world.ts"

/** Waits until what was written into each of the fields is there to be read, and looks that none of it has become more than text. */
const showsAsText = async (page: Page, place: string, fields: ReadonlyArray<string>, text = markupIn) => {
  for (const field of fields) {
    await page.locator(place).getByText(text(field)).filter({ visible: true }).first().waitFor()
  }
  assert.strictEqual(await page.locator("[onerror], [onload], [href^='javascript:'], img, body script").count(), 0)
  assert.isUndefined(await page.evaluate("window.stolen"))
}

const itself = (text: string) => text

/** Cancels the dialog that is open, after looking at it. */
const lookAndCancel = async (page: Page, fields: ReadonlyArray<string>) => {
  await showsAsText(page, "dialog", fields)
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click()
  await page.getByRole("dialog").waitFor({ state: "detached" })
}

/** What stands there as JSON. */
const quoted = new Set<string>(["filter", "reason", "outcome"])

const entry = markupIn("type")
const stream = format(["streams", markupIn("stream type"), markupIn("stream")])

export const safety = (it: Vitest.MethodsNonLive<Browser | Served | World>) => {
  it.effect("shows markup in whatever others may write as text, on every page that has it", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const { hostileId } = yield* World
      const places = [
        ["#/", "Overview", ["error", "destination", "worker", "version"]],
        ["#/entries", "Entries", ["type", "type behind", "key", "destination", "error"]],
        [format(["entries"], { type: entry, state: "dead" }), "Entries", ["type"]],
        [
          `#/entries/${hostileId}`,
          entry,
          [
            "type",
            "type behind",
            "error",
            "key",
            "aggregate type",
            "aggregate",
            "destination",
            "tried destination",
            "tried by",
            "tried error"
          ]
        ],
        ["#/dead?error=onerror", "Dead letters", ["type", "error", "key"]],
        ...["type", "error", "key"].map((by) => [`#/dead?by=${by}&error=onerror`, "Dead letters", [by]] as const),
        ["#/keys", "Blocked keys", ["key", "type", "error"]],
        ["#/flow", "Pauses", ["paused type", "paused by", "destination"]],
        [
          format(["consumers"], { parked: markupIn("consumer") }),
          "Consumers and projections",
          ["consumer", "runner", "parked error", "logged type", "projection", "projection error"]
        ],
        ["#/streams", "Streams", ["stream type", "stream"]],
        [stream, `${markupIn("stream type")} ${markupIn("stream")}`, ["logged type", "stream"]],
        ["#/tail", "Tail", ["logged type", "stream type", "stream"]],
        ["#/doctor", "Doctor", ["task", "task runner", "outcome", "destination", "worker", "paused type"]],
        ["#/audit", "Audit", ["actor", "filter", "reason"]]
      ] as const
      yield* visit(url, {}, async (page) => {
        for (const [hash, heading, fields] of places) {
          await goTo(page, hash, heading)
          await showsAsText(page, "main", fields.filter((field) => !quoted.has(field)))
          await showsAsText(
            page,
            "main",
            fields.filter((field) => quoted.has(field)),
            (field) => JSON.stringify(markupIn(field))
          )
        }
        await showsAsText(page, "main", [shortMarkup], itself)
      })
    }))

  it.effect("shows markup in data, headers and states as text, and all digits of a number", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const { hostileId } = yield* World
      const note = JSON.stringify(script)
      yield* visit(`${url}#/entries/${hostileId}`, {}, async (page) => {
        await showsAsText(page, ".json-name", [note], itself)
        await showsAsText(page, ".json-string", [note, JSON.stringify(markupIn("headers"))], itself)
        await showsAsText(page, ".json-number", [largeNumber], itself)
        await goTo(page, stream, /stream type/)
        await showsAsText(page, ".event-data", [note], itself)
        await showsAsText(page, ".json-name", [note], itself)
        await page.locator(".event button").first().click()
        await showsAsText(page, ".event .json-string", [note], itself)
        await goTo(page, format(["tail"], { type: markupIn("logged type") }), "Tail")
        await showsAsText(page, ".event-data", [note], itself)
        await page.locator(".event button").first().click()
        await showsAsText(page, ".event .json-string", [note], itself)
      })
    }))

  it.effect("shows markup as text in the questions of dialogs, in choices and in the tab's title", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      yield* visit(`${url}#/dead?error=onerror`, {}, async (page) => {
        await page.getByRole("button", { name: "Redrive all matching…" }).click()
        await lookAndCancel(page, ["type", "error"])
        await goTo(page, "#/keys", "Blocked keys")
        const key = page.getByRole("row").filter({ hasText: markupIn("key") })
        for (const button of ["Redrive", "Unblock", "Discard"]) {
          await key.getByRole("button", { name: button }).click()
          await lookAndCancel(page, ["key"])
        }
        await goTo(page, "#/flow", "Pauses")
        await page.getByRole("button", { name: `Resume ${markupIn("paused type")}` }).click()
        await lookAndCancel(page, ["paused type"])
        await goTo(page, format(["consumers"], { parked: markupIn("consumer") }), "Consumers and projections")
        await page.getByRole("button", { name: `Rebuild ${markupIn("projection")} v1` }).click()
        await lookAndCancel(page, ["projection"])
        await page.getByRole("button", { name: "Discard all…" }).click()
        await lookAndCancel(page, ["consumer"])
        await goTo(page, "#/", "Overview")
        await page.locator("option", { hasText: markupIn("destination") }).waitFor({ state: "attached" })
        await goTo(page, stream, /stream type/)
        assert.include(await page.title(), markupIn("stream"))
        await showsAsText(page, "main", [])
      })
    }))

  it.effect("shows markup in its address as text, and in what the server says of it", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const address = markupIn("address")
      yield* visit(url, { expected: /status of 40[04]/ }, async (page) => {
        await goTo(page, format(["entries", address]), "Entry")
        await showsAsText(page, "main", ["address"])
        await goTo(page, format(["streams", address, address]), address)
        await page.getByText("It has no events.").waitFor()
        await showsAsText(page, "main", ["address"])
        await goTo(page, format(["consumers"], { parked: address }), "Consumers and projections")
        await page.getByText("It has parked nothing.").waitFor()
        await showsAsText(page, "main", ["address"])
        await goTo(page, format(["dead"], { error: address }), "Dead letters")
        await page.getByText("No dead letter matches.").waitFor()
        assert.strictEqual(await page.getByLabel("Error contains").inputValue(), address)
        await goTo(page, format(["entries"], { after: address }), "Entries")
        await showsAsText(page, "[role=alert]", [JSON.stringify(address)], itself)
        await goTo(page, format([address]), "No such page")
        await showsAsText(page, "main", [])
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
