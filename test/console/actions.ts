/** Keys, pauses and what is old are changed, by whoever may, as the database then shows, with a row in the audit. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Browser } from "./Browser.ts"
import { lastDeed, statusesOf } from "./deeds.ts"
import { confirm, noticed } from "./looks.ts"
import { putEntries } from "./putEntries.ts"
import { Served } from "./servers.ts"

export const actions = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient>) => {
  it.effect("unblocks a key, redrives a head, and discards one", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* putEntries(["a", "b", "c"].flatMap((key) =>
        [
          { type: "blocked.head", status: "dead", key: `blocked/${key}`, blocks: true, error: "refused" },
          { type: "blocked.behind", key: `blocked/${key}`, waitsFor: "key" }
        ] as const
      ))
      yield* visit(`${yield* Served}#/keys`, {}, async (page) => {
        const row = (key: string) => page.locator("tbody tr").filter({ hasText: `blocked/${key}` })
        await row("a").getByRole("button", { name: "Unblock" }).click()
        await confirm(page, "Unblock")
        await row("a").waitFor({ state: "detached" })
        await row("b").getByRole("button", { name: "Redrive" }).click()
        await confirm(page, "Redrive 1")
        await row("b").waitFor({ state: "detached" })
        await row("c").getByRole("button", { name: "Discard" }).click()
        await confirm(page, "Discard")
        await row("c").waitFor({ state: "detached" })
      })
      const rows = yield* sql`
        SELECT ordering_key, status, blocks, discarded_at IS NOT NULL AS discarded FROM zakops.outbox
        WHERE event_type = 'blocked.head' ORDER BY ordering_key`
      assert.deepStrictEqual(rows, [
        { ordering_key: "blocked/a", status: "dead", blocks: false, discarded: false },
        { ordering_key: "blocked/b", status: "pending", blocks: false, discarded: false },
        { ordering_key: "blocked/c", status: "dead", blocks: false, discarded: true }
      ])
    }))

  it.effect("pauses and resumes a type, and a destination, by the form", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      const paused = sql`
        SELECT kind, name FROM zakops.flow WHERE paused_at IS NOT NULL AND name IN ('paused.here', 'warehouse') ORDER BY kind`
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      yield* visit(`${yield* Served}#/flow`, {}, async (page) => {
        const button = page.getByRole("button", { name: "Pause", exact: true })
        assert.isTrue(await button.isDisabled())
        await page.getByLabel("Event type").fill("paused.here")
        await button.click()
        await noticed(page, "paused.here is paused.")
        await page.getByLabel("What", { exact: true }).selectOption("destination")
        await page.getByLabel("Destination").fill("warehouse")
        await button.click()
        await noticed(page, "warehouse is paused.")
        await page.getByLabel("Destination").fill("warehouse")
        await button.click()
        await noticed(page, "warehouse was paused already.")
        assert.deepStrictEqual(await run(paused), [
          { kind: "destination", name: "warehouse" },
          { kind: "type", name: "paused.here" }
        ])
        for (const [name, kind] of [["paused.here", "event type"], ["warehouse", "destination"]] as const) {
          const row = page.locator("tbody tr").filter({ hasText: name })
          await row.getByRole("cell", { name: kind, exact: true }).waitFor()
          await row.getByRole("button", { name: "Resume" }).click()
          await confirm(page, "Resume")
          await noticed(page, `${name} is resumed.`)
          await row.waitFor({ state: "detached" })
        }
      })
      assert.deepStrictEqual(yield* paused, [])
      assert.deepInclude(yield* lastDeed, { action: "resume", filter: { destination: "warehouse" } })
    }))

  it.effect("pauses and resumes a destination where it is shown", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      const paused = sql`SELECT kind, name FROM zakops.flow WHERE paused_at IS NOT NULL AND name = 'crm'`
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      yield* visit(yield* Served, {}, async (page) => {
        const crm = page.getByRole("row").filter({ has: page.getByText("crm", { exact: true }) })
        await crm.getByRole("button", { name: "Pause crm" }).click()
        await confirm(page, "Pause")
        await crm.getByText("paused").waitFor()
        assert.deepStrictEqual(await run(paused), [{ kind: "destination", name: "crm" }])
        await crm.getByRole("button", { name: "Resume crm" }).click()
        await confirm(page, "Resume")
        await crm.getByText("paused").waitFor({ state: "detached" })
      })
      assert.deepStrictEqual(yield* paused, [])
    }))

  it.effect("deletes what is old, of each kind, after counting it", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      const old = { type: "long.ago", ago: 400 * 86_400 } as const
      yield* putEntries([
        ...Array.from({ length: 2 }, () => ({ ...old, status: "delivered" }) as const),
        ...Array.from({ length: 3 }, () => ({ ...old, status: "dead", attempts: 2, error: "refused" }) as const),
        { ...old, status: "dead", discarded: true }
      ])
      yield* sql`UPDATE zakops.outbox SET discarded_at = died_at WHERE event_type = 'long.ago' AND discarded_at IS NOT NULL`
      yield* visit(`${yield* Served}#/doctor`, {}, async (page) => {
        const count = page.getByRole("button", { name: "Count…" })
        await page.getByLabel("Older than").fill("a year")
        assert.isTrue(await count.isDisabled())
        await page.getByLabel("Older than").fill("365d")
        for (
          const [kind, many, rows] of [
            ["attempts", 6, "6 rows deleted."],
            ["delivered", 2, "2 rows deleted."],
            ["dead", 3, "3 rows deleted."],
            ["discarded", 1, "1 row deleted."]
          ] as const
        ) {
          await page.getByLabel("What", { exact: true }).selectOption(kind)
          await count.click()
          await page.getByRole("dialog").getByText(`${many} would be deleted`).waitFor()
          await confirm(page, "Delete")
          await noticed(page, rows)
        }
        // Nothing is left to be deleted.
        await count.click()
        await page.getByRole("dialog").getByText("0 would be deleted").waitFor()
        assert.isTrue(await page.getByRole("dialog").getByRole("button", { name: "Delete" }).isDisabled())
      })
      assert.deepStrictEqual(yield* statusesOf("long.ago"), [])
      assert.deepInclude(yield* lastDeed, { action: "purge", count: 1 })
    }))
}
