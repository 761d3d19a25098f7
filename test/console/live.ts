/** Pages keep up with the outbox: by asking again while somebody looks, with what did not change not sent again; and the tail by a stream. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { Browser } from "./Browser.ts"
import { goTo } from "./looks.ts"
import { Served } from "./servers.ts"
import { putEntries } from "./putEntries.ts"

/** What a browser says of a tab that is covered by another. */
const hide = (hidden: boolean) =>
  `Object.defineProperty(document, "hidden", { configurable: true, get: () => ${hidden} });
  document.dispatchEvent(new Event("visibilitychange"))`

export const live = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient>) => {
  it.effect("shows what is new without being loaded anew, and asks with the ETag of what it has", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const services = yield* Effect.context<SqlClient>()
      const run = Effect.runPromiseWith(services)
      const sql = yield* SqlClient
      yield* visit(`${url}#/entries?type=something.new`, {}, async (page) => {
        await page.getByText("No entry matches.").waitFor()
        const again = await page.waitForResponse((response) =>
          response.url().includes("/api/entries") && response.status() === 304
        )
        assert.isNotNull(await again.request().headerValue("if-none-match"))
        await run(putEntries([{ type: "something.new", status: "delivered", attempts: 1 }]))
        await page.locator("tbody tr").getByText("something.new").waitFor()
      })
      yield* sql`DELETE FROM zakops.outbox WHERE event_type = 'something.new'`
    }))

  it.effect("asks nothing while the tab is hidden or the reader has stopped it, and at once afterwards", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(yield* Served, {}, async (page) => {
        // The page's clock goes when it is told to. Two minutes are longer than any page waits before it asks again.
        await page.clock.install()
        await page.reload()
        await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor()
        const asked: Array<string> = []
        page.on("request", (request) => asked.push(new URL(request.url()).pathname))
        const isAsked = async (change: () => Promise<unknown>) => {
          const answer = page.waitForResponse(/\/api\/overview$/)
          await change()
          await answer
        }
        const isNotAsked = async (change: () => Promise<unknown>) => {
          await change()
          asked.length = 0
          await page.clock.runFor(120_000)
          assert.deepStrictEqual(asked, [])
        }
        await isAsked(() => page.clock.runFor(3000))
        await isNotAsked(() => page.evaluate(hide(true)))
        await isAsked(() => page.evaluate(hide(false)))
        await isNotAsked(async () => {
          await page.keyboard.press("p")
          await page.getByText("Updates stopped").waitFor()
        })
        await isAsked(() => page.keyboard.press("p"))
      })
    }))

  it.effect("shows what came in and went out in the last whole step, with which the API's answer ends", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const rates = {
        step: 30,
        times: [1_000_000_000, 1_000_000_030, 1_000_000_060],
        series: [
          { kind: "emitted", destination: "", perSecond: [11, 12, 13] },
          { kind: "delivered", destination: "nats", perSecond: [1, 2, 30] },
          { kind: "delivered", destination: "billing", perSecond: [1, 2, 4] },
          { kind: "failed", destination: "nats", perSecond: [0, 0, 15] }
        ]
      }
      yield* visit(yield* Served, {}, async (page) => {
        await page.route(/\/api\/overview\/rates\b/, (route) => route.fulfill({ json: rates }))
        await page.reload()
        for (const words of ["emitted 13", "delivered 34", "failed 15", "dead –"]) {
          await page.locator(".legend").getByText(words, { exact: true }).waitFor()
        }
      })
    }))

  it.effect("says that the server is gone, and is itself again when it is back", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}#/audit`, { expected: /Failed to load resource/ }, async (page) => {
        await page.locator("tbody tr").first().waitFor()
        await page.context().setOffline(true)
        await page.keyboard.press("r")
        await page.getByRole("alert").filter({ hasText: "The server does not answer" }).first().waitFor()
        // What was there stays to be read.
        assert.isAbove(await page.locator("tbody tr").count(), 0)
        await page.context().setOffline(false)
        await page.keyboard.press("r")
        await page.getByRole("alert").first().waitFor({ state: "detached" })
      })
    }))

  it.effect("shows events of the log as they happen, and goes on behind the last one after a pause", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* Served
      const sql = yield* SqlClient
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      const happen = (title: string) =>
        run(sql`INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data, created_at)
          VALUES (${randomUUID()}::uuid, ${randomUUID()}::uuid, 'note.made', ${
          JSON.stringify({ title })
        }::jsonb, clock_timestamp())`)
      yield* visit(url, {}, async (page) => {
        await goTo(page, "#/tail?type=note.made", "Tail")
        await page.getByText("Nothing has happened yet.").waitFor()
        await page.locator(".page-detail").getByText("live", { exact: true }).waitFor()
        await happen("the first")
        await page.locator(".event").filter({ hasText: "the first" }).waitFor()
        await page.getByRole("button", { name: "Stop" }).click()
        await page.locator(".page-detail").getByText("stopped").waitFor()
        await happen("the second")
        await page.getByRole("button", { name: "Resume" }).click()
        await page.locator(".event").filter({ hasText: "the second" }).waitFor()
        assert.strictEqual(await page.locator(".event").count(), 2)
        assert.include(await page.locator(".event").first().textContent(), "the second")
      })
    }))
}
