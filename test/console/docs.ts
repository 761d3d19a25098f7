/** The API's docs page: it shows all that the API can do, lets one try it with a token, and asks nobody else. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { axeFindings, until } from "./looks.ts"
import { secrets, serve, Served, tokens } from "./servers.ts"

interface Document {
  readonly servers: ReadonlyArray<{ readonly url: string }>
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

const documentOf = async (page: Page): Promise<Document> =>
  (await page.request.get(new URL("openapi.json", page.url()).href)).json()

/** What the page's makers have not seen to: their markup, not ours. Whatever else axe finds fails the test. */
const leftToItsMakers =
  /^(aria-allowed-attr|aria-allowed-role|aria-required-children|button-name|color-contrast|label-content-name-mismatch|landmark-unique):/

export const docs = (it: Vitest.MethodsNonLive<Browser | Served | PgClient.PgClient | SqlClient>) => {
  it.effect.each(["", "/ops/outbox"] as const)(
    "has a docs page for all of its API, under %j",
    (basePath) =>
      Effect.scoped(Effect.gen(function*() {
        const { visit } = yield* Browser
        const url = yield* serve({ basePath })
        // Whoever visits it sees that no script was refused, and that nothing was asked of elsewhere.
        yield* visit(`${url}api/docs`, {}, async (page) => {
          await page.getByRole("heading", { level: 1, name: "ZakOps Outbox" }).waitFor()
          const { paths, servers } = await documentOf(page)
          assert.deepStrictEqual(servers, [{ url: basePath === "" ? "/" : basePath }])
          const operations = Object.entries(paths).flatMap(([path, methods]) =>
            Object.keys(methods).map((method) => `${path} ${method.toUpperCase()}`)
          )
          // By its markup: to look for roles in a page of this size takes seconds each time.
          const sidebar = page.getByLabel("Sidebar for ZakOps Outbox").locator("button")
          const closed = sidebar.and(page.locator("[aria-expanded=false]")).filter({ hasNotText: "Models" })
          while (await closed.count() > 0) await closed.first().click()
          await until(async () => {
            const texts = await sidebar.allTextContents()
            const shown = new Set(texts.map((text) => text.replace(/HTTP Method:\s*/, " ")))
            return operations.every((operation) => shown.has(operation))
          })
          // Nothing leads to where the document would be sent to its makers.
          for (const service of [/Generate SDK/, /^Share/, /Open API Client/]) {
            assert.strictEqual(await page.getByText(service).count(), 0)
          }
        })
      }))
  )

  it.effect("has a docs page in which axe finds nothing that is ours", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}api/docs`, {}, async (page) => {
        await page.getByRole("heading", { level: 1, name: "ZakOps Outbox" }).waitFor()
        assert.deepStrictEqual((await axeFindings(page)).filter((finding) => !leftToItsMakers.test(finding)), [])
      })
    }))

  it.effect("lets a token be tried on the docs page, and keeps it nowhere", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      const url = yield* serve({ basePath: "/ops/outbox", tokens })
      yield* visit(`${url}api/docs`, {}, async (page) => {
        await page.getByLabel("Bearer Token").filter({ visible: true }).fill(secrets.read)
        await page.getByRole("button", { name: /^Test Request/ }).first().click()
        const [answer] = await Promise.all([
          page.waitForResponse(`${url}api/session`),
          page.getByRole("dialog").getByRole("button", { name: /^Send get request/ }).click()
        ])
        assert.strictEqual((await answer.json()).name, "nils")
        await page.getByRole("dialog").getByText("\"nils\"").waitFor()
        assert.notInclude(
          String(await page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")),
          secrets.read
        )
      })
    })))
}
