/** What is filtered stands in the address, which leads there again; lists have pages; and an entry is found by its id. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { goTo, rowsAre, until } from "./looks.ts"
import { putEntries } from "./putEntries.ts"
import { Served } from "./servers.ts"
import { World } from "./world.ts"

/** The parameters behind the `#`. */
const queryOf = (page: Page) => Object.fromEntries(new URLSearchParams(page.url().split("#")[1]?.split("?")[1] ?? ""))

const queryIs = (page: Page, query: Readonly<Record<string, string>>) =>
  until(async () => JSON.stringify(queryOf(page)) === JSON.stringify(query))

/** A value for each field, as a page's form has them; `some`: how many rows are left after the last of them. */
interface Form {
  readonly hash: string
  readonly heading: string
  readonly fields: ReadonlyArray<readonly [label: string, name: string, value: string]>
  readonly rows: string
  readonly some: number
}

const forms: ReadonlyArray<Form> = [
  {
    hash: "#/entries",
    heading: "Entries",
    fields: [
      ["State", "state", "dead"],
      ["Event type", "type", "deal.stage_changed"],
      ["Ordering key", "key", "deal/d-77"],
      ["Aggregate", "aggregateType", "deal"],
      ["Aggregate id", "aggregateId", "d-77"],
      ["Error contains", "error", "amount"]
    ],
    rows: "tbody tr",
    some: 1
  },
  {
    hash: "#/entries",
    heading: "Entries",
    fields: [["Destination", "destination", "crm"], ["Event type", "type", "deal.won"]],
    rows: "tbody tr",
    some: 1
  },
  {
    hash: "#/dead",
    heading: "Dead letters",
    fields: [
      ["Error contains", "error", "amount"],
      ["Event type", "type", "deal.stage_changed"],
      ["Ordering key", "key", "deal/d-77"],
      ["Died in the last", "newerThan", "1d"],
      ["Died more than", "olderThan", "15m"]
    ],
    rows: "tbody tr",
    some: 1
  },
  {
    hash: "#/dead",
    heading: "Dead letters",
    fields: [["Destination", "destination", "crm"]],
    rows: "tbody tr",
    some: 0
  },
  {
    hash: "#/streams",
    heading: "Streams",
    fields: [["Aggregate type", "aggregateType", "deal"], ["Ids from", "from", "d-20"]],
    rows: "tbody tr",
    some: 5
  },
  {
    hash: "#/tail",
    heading: "Tail",
    fields: [
      ["Event type", "type", "deal.created"],
      ["Aggregate type", "aggregateType", "deal"],
      ["Aggregate id", "aggregateId", "d-13"]
    ],
    rows: ".event",
    some: 1
  },
  {
    hash: "#/audit",
    heading: "Audit",
    fields: [["Who", "by", "jon"], ["Action", "action", "redrive"]],
    rows: "tbody tr",
    some: 1
  }
]

export const filters = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient | World>) => {
  it.effect("asks by every filter of every list, keeps it in the address, and opens there with it", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(yield* Served, {}, async (page) => {
        for (const { fields, hash, heading, rows, some } of forms) {
          await goTo(page, hash, heading)
          const form = page.locator("form.filters")
          for (const [n, [label, name, value]] of fields.entries()) {
            const field = form.getByLabel(label, { exact: true })
            const enter = await field.evaluate((element) => element.tagName === "SELECT")
              ? () => field.selectOption(value)
              : () => field.fill(value)
            await Promise.all([
              page.waitForRequest((request) => new URL(request.url()).searchParams.get(name) === value),
              enter()
            ])
            await queryIs(page, Object.fromEntries(fields.slice(0, n + 1).map(([, one, given]) => [one, given])))
          }
          const left = () => until(async () => await page.locator(rows).count() === some)
          await left()
          await page.reload()
          await page.getByRole("heading", { level: 1, name: heading }).waitFor()
          for (const [label, , value] of fields) {
            assert.strictEqual(await form.getByLabel(label, { exact: true }).inputValue(), value)
          }
          await left()
        }
      })
    }))

  it.effect("filters by correlation, and says where one is no UUID", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      const [entry] = yield* sql<{ id: string }>`
        SELECT correlation_id AS id FROM zakops.outbox WHERE aggregate_id = 'd-90' LIMIT 1`
      const [logged] = yield* sql<{ id: string }>`
        SELECT correlation_id AS id FROM zakops.agent_events WHERE aggregate_id = 'd-12' LIMIT 1`
      yield* visit(yield* Served, {}, async (page) => {
        const ask = async (text: string, rows: string, count: number) => {
          await page.getByLabel("Correlation id").fill(text)
          // Enter does not wait for the end of the typing.
          await page.keyboard.press("Enter")
          await until(async () => await page.locator(rows).count() === count)
          await queryIs(page, { correlationId: text })
        }
        const wrong = page.getByText("The correlation id is no UUID: it is left out.")
        await goTo(page, "#/entries", "Entries")
        await ask(entry?.id ?? "", "tbody tr", 3)
        assert.strictEqual(await wrong.count(), 0)
        await page.getByLabel("Correlation id").fill("order 66")
        await wrong.waitFor()
        await goTo(page, "#/tail", "Tail")
        await ask(logged?.id ?? "", ".event", 1)
        assert.strictEqual(await wrong.count(), 0)
        await page.getByLabel("Correlation id").fill("order 66")
        await wrong.waitFor()
      })
    }))

  it.effect("leaves out where ids begin until it is told of which type", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}#/streams?from=d-20`, {}, async (page) => {
        const left = page.getByText("Ids from needs an aggregate type: it is left out.")
        await left.waitFor()
        await page.getByText("d-10", { exact: true }).waitFor()
        await page.getByLabel("Aggregate type").fill("deal")
        await left.waitFor({ state: "detached" })
        await page.getByText("d-10", { exact: true }).waitFor({ state: "detached" })
        await page.getByText("d-20", { exact: true }).waitFor()
      })
    }))

  it.effect("opens an entry by its id, and says which ids none has", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const { routedId } = yield* World
      const stranger = randomUUID()
      yield* visit(`${yield* Served}#/entries`, { expected: /status of 404/ }, async (page) => {
        await page.getByRole("heading", { level: 1, name: "Entries" }).waitFor()
        const field = page.getByLabel("Id of an entry or event")
        const open = page.getByRole("button", { name: "Open", exact: true })
        assert.isTrue(await open.isDisabled())
        await field.fill("the one of yesterday")
        assert.strictEqual(await field.getAttribute("aria-invalid"), "true")
        assert.isTrue(await open.isDisabled())
        await field.press("Enter")
        await field.fill(` ${routedId.toUpperCase()} `)
        await open.click()
        await page.getByRole("heading", { level: 1, name: "deal.won" }).waitFor()
        await page.goBack()
        await page.getByRole("heading", { level: 1, name: "Entries" }).waitFor()
        await field.fill(stranger)
        await field.press("Enter")
        await page.getByRole("heading", { level: 1, name: "Entry" }).waitFor()
        await page.getByRole("alert").getByText(stranger).waitFor()
        await goTo(page, "#/entries/nonsense", "Entry")
        await page.getByText("nonsense is no UUID: no entry has it.").waitFor()
      })
    }))

  it.effect("groups dead letters as one chooses, and narrows down to a group", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* putEntries([
        ...[1, 2].map((n) =>
          ({ type: "grouped.a", status: "dead", error: `grouped by ${n}`, key: `group/${n}` }) as const
        ),
        { type: "grouped.b", status: "dead", error: "grouped by 3" }
      ])
      const sql = yield* SqlClient
      yield* visit(`${yield* Served}#/dead?error=grouped`, {}, async (page) => {
        const groups = page.locator(".bars")
        const narrowed = async (
          by: string,
          group: string | RegExp,
          query: Readonly<Record<string, string>>,
          rows: number
        ) => {
          await goTo(page, "#/dead?error=grouped", "Dead letters")
          await page.getByRole("group", { name: "Group by" }).getByRole("button", { name: by, exact: true }).click()
          await groups.getByRole("link", { name: group }).first().click()
          await until(async () => {
            const { by: _, ...found } = queryOf(page)
            return JSON.stringify(found) === JSON.stringify(query)
          })
          await rowsAre(page, rows)
        }
        await narrowed("type", /grouped\.a/, { error: "grouped", type: "grouped.a" }, 2)
        await narrowed("error", /grouped by <n>/, { error: "grouped by" }, 3)
        await narrowed("key", /group\/2/, { error: "grouped", key: "group/2" }, 1)
        await narrowed("type and error", /grouped\.b/, { error: "grouped by", type: "grouped.b" }, 1)
        await goTo(page, "#/dead?error=grouped&by=age", "Dead letters")
        await groups.locator("li").first().waitFor()
        assert.strictEqual(await groups.getByRole("link").count(), 0)
      })
      yield* sql`DELETE FROM zakops.outbox WHERE event_type LIKE 'grouped.%'`
    }))
}
