/** What is shown leads to what it speaks of. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { goTo, until } from "./looks.ts"
import { serve, Served } from "./servers.ts"
import { World } from "./world.ts"

/** Follows a link and waits for where it leads. */
const follow = async (page: Page, place: string, name: string | RegExp, to: RegExp, heading: string | RegExp) => {
  await page.locator(place).getByRole("link", { name }).first().click()
  await page.waitForURL(to)
  await page.getByRole("heading", { level: 1, name: heading }).waitFor()
}

export const links = (it: Vitest.MethodsNonLive<Browser | Served | World | PgClient.PgClient | SqlClient>) => {
  it.effect("leads from the figures of the overview to what they count", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(yield* Served, {}, async (page) => {
        for (const state of ["pending", "behind", "held", "processing", "delivered", "discarded"]) {
          await goTo(page, "#/", "Overview")
          await follow(
            page,
            ".states",
            new RegExp(`^${state}`, "i"),
            new RegExp(`#/entries\\?state=${state}$`),
            "Entries"
          )
          await page.locator("tbody tr").first().waitFor()
        }
        await goTo(page, "#/", "Overview")
        await follow(page, ".states", /^Dead/, /#\/dead$/, "Dead letters")
        await goTo(page, "#/", "Overview")
        await follow(page, ".bars", /connect ETIMEDOUT/, /#\/dead\?error=connect\+ETIMEDOUT/, "Dead letters")
        await page.locator("tbody tr").first().waitFor()
        await goTo(page, "#/", "Overview")
        await follow(page, ".findings", /serious/, /#\/doctor$/, "Doctor")
      })
    }))

  it.effect("shows rates of as long as one asks for, of all destinations or one, and their values where one points", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(yield* Served, {}, async (page) => {
        const chart = page.getByRole("figure", { name: "Events emitted and delivered" })
        const time = chart.locator(".legend-time")
        const delivered = async () =>
          Number(await chart.locator(".legend-item").filter({ hasText: "delivered" }).locator("b").textContent())
        await chart.locator("canvas").waitFor()
        assert.notMatch(await time.textContent() ?? "", /\d\d:\d\d:\d\d/)
        // In the middle, where the event log takes some 800 a second, and crm some 40.
        await chart.locator(".u-over").hover()
        await time.filter({ hasText: /\d\d:\d\d:\d\d/ }).waitFor()
        await until(async () => await delivered() > 500)
        await page.getByLabel("Destination", { exact: true }).selectOption("crm")
        await page.waitForURL(/destination=crm/)
        await until(async () => await delivered() > 20 && await delivered() < 60)
        const [asked] = await Promise.all([
          page.waitForRequest(/\/api\/overview\/rates\?/),
          page.getByRole("button", { name: "15 min" }).click()
        ])
        assert.include(asked.url(), "last=900")
        await page.waitForURL(/last=900/)
        await page.getByRole("button", { name: "15 min", pressed: true }).waitFor()
      })
    }))

  it.effect("leads from an entry to its type, correlation, stream, key, neighbours, destinations and trace", () =>
    Effect.scoped(Effect.gen(function*() {
      const { visit } = yield* Browser
      const { routedId } = yield* World
      const sql = yield* SqlClient
      const [blocking] = yield* sql<{ id: string }>`
        SELECT id FROM zakops.outbox WHERE ordering_key = 'deal/d-78' AND status = 'dead'`
      const url = yield* serve({ traceUrl: "https://traces.example/trace/{traceId}" })
      // What was only reported has an aggregate and no stream.
      yield* visit(url, { expected: /status of 404/ }, async (page) => {
        const entry = async (id: string, heading: string) => goTo(page, `#/entries/${id}`, heading)
        await entry(routedId, "deal.won")
        await follow(page, ".facts", /^deal\.won/, /#\/entries\?type=deal\.won$/, "Entries")
        await entry(routedId, "deal.won")
        await follow(page, ".facts", /^[0-9a-f-]{36}$/, /#\/entries\?correlationId=/, "Entries")
        await entry(routedId, "deal.won")
        await follow(page, ".facts", "deal d-90", /#\/streams\/deal\/d-90$/, "deal d-90")
        await entry(routedId, "deal.won")
        await follow(page, ".short-list", "webhook", /#\/entries\/[0-9a-f-]{36}$/, "deal.won")
        assert.notInclude(page.url(), routedId)
        await entry(blocking?.id ?? "", "deal.created")
        await follow(page, ".facts", "deal/d-78", /#\/entries\?key=deal%2Fd-78$/, "Entries")
        await entry(blocking?.id ?? "", "deal.created")
        await follow(page, ".short-list", "deal.stage_changed", /#\/entries\/[0-9a-f-]{36}$/, "deal.stage_changed")
        await entry(blocking?.id ?? "", "deal.created")
        const trace = page.locator(".timeline").getByRole("link", { name: /^trace/ }).first()
        assert.match(await trace.getAttribute("href") ?? "", /^https:\/\/traces\.example\/trace\/[0-9a-f]{32}$/)
        assert.strictEqual(await trace.getAttribute("rel"), "noreferrer")
      })
    })))

  it.effect("leads through a stream: its versions, the states after them, its events and back", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}#/streams?aggregateType=deal&from=d-17`, {}, async (page) => {
        await follow(page, "tbody", "deal d-17", /#\/streams\/deal\/d-17$/, "deal d-17")
        await page.getByRole("heading", { name: "State at version 7" }).waitFor()
        const second = page.locator(".event").filter({ has: page.locator(".event-number", { hasText: /^2$/ }) })
        await second.getByRole("link", { name: "state" }).click()
        await page.getByRole("heading", { name: "State at version 2" }).waitFor()
        assert.strictEqual(await second.locator("[aria-current=page]").count(), 1)
        await page.locator(".sticky").getByRole("link", { name: "Latest" }).click()
        await page.getByRole("heading", { name: "State at version 7" }).waitFor()
        // By the keyboard as by the mouse.
        const opened = second.getByRole("region", { name: /^Data of/ })
        await second.focus()
        await page.keyboard.press("Enter")
        await opened.waitFor()
        await second.getByRole("button", { expanded: true }).click()
        await opened.waitFor({ state: "detached" })
        await goTo(page, "#/tail?aggregateId=d-17", "Tail")
        await follow(page, ".events", "deal d-17", /#\/streams\/deal\/d-17$/, "deal d-17")
      })
    }))

  it.effect("leads from blocked keys, consumers and projections to the entries and events that they are about", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      const park = sql`
        INSERT INTO zakops.parked_events (subscription, event_id, xid, position, aggregate_type, aggregate_id, reason, error, attempts, parked_at)
        SELECT 'projection timeline v1', id, xid, position, aggregate_type, aggregate_id, 'failed', 'unknown', 1, clock_timestamp()
        FROM zakops.agent_events WHERE aggregate_id = 'd-20' AND stream_version = 1 RETURNING event_id`
      yield* park
      yield* visit(`${yield* Served}#/keys`, {}, async (page) => {
        await follow(page, "tbody", "deal.created", /#\/entries\/[0-9a-f-]{36}$/, "deal.created")
        await goTo(page, "#/consumers", "Consumers and projections")
        await page.getByRole("table", { name: "Projections" })
          .getByRole("link", { name: "1 parked by projection timeline v1" }).click()
        await page.getByRole("heading", { name: "Parked by projection timeline v1" }).waitFor()
      })
      yield* sql`DELETE FROM zakops.parked_events WHERE subscription = 'projection timeline v1'`
    }))

  it.effect("examines anew when it is asked to", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      yield* visit(`${yield* Served}#/doctor`, {}, async (page) => {
        await page.locator(".checks li").first().waitFor()
        // Stopped, the page asks for nothing by itself.
        await page.getByRole("button", { name: "Live" }).click()
        await Promise.all([
          page.waitForResponse(/\/api\/doctor/),
          page.getByRole("button", { name: "Examine" }).click()
        ])
      })
    }))
}
