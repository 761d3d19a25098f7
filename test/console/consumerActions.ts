/** Parked events are tried again and given up, and projections rebuilt and switched, as the database then shows. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Browser } from "./Browser.ts"
import { lastDeed } from "./deeds.ts"
import { confirm, noticed } from "./looks.ts"
import { Served } from "./servers.ts"

/** A subscription that has parked the second event of each of these deals. */
const park = Effect.fnUntraced(function*(subscription: string, deals: ReadonlyArray<string>) {
  const sql = yield* SqlClient
  yield* sql`
    INSERT INTO zakops.checkpoints (subscription, xid, position, updated_at)
    SELECT ${subscription}, xid, position, clock_timestamp() FROM zakops.agent_events ORDER BY xid DESC, position DESC LIMIT 1`
  yield* sql`
    INSERT INTO zakops.parked_events (subscription, event_id, xid, position, aggregate_type, aggregate_id, reason, error, attempts, parked_at)
    SELECT ${subscription}, id, xid, position, aggregate_type, aggregate_id, 'failed', 'no room for ' || aggregate_id, 1, clock_timestamp()
    FROM zakops.agent_events WHERE aggregate_id = ANY (${[...deals]}::text[]) AND stream_version = 2`
})

export const consumerActions = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient>) => {
  it.effect("has parked events tried again, and gives others up", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* visit(`${yield* Served}#/consumers`, {}, async (page) => {
        await page.getByRole("link", { name: "3 parked by mailer" }).click()
        const rows = page.getByRole("table", { name: "Events parked by mailer" }).locator("tbody tr")
        await rows.filter({ hasText: "mailbox unavailable" }).getByRole("checkbox").check()
        await page.getByRole("button", { name: "Retry 1…" }).click()
        await confirm(page, "Retry")
        await noticed(page, /will be tried again by whoever runs it/)
        await page.getByRole("button", { name: "Discard all…" }).click()
        await confirm(page, "Discard")
        await noticed(page, /given up by mailer/)
        await page.getByText("It has parked nothing.").waitFor()
      })
      assert.deepStrictEqual(yield* sql`SELECT 1 FROM zakops.parked_events WHERE subscription = 'mailer'`, [])
    }))

  it.effect("gives up those parked events that are chosen, and has all others tried again", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* park("biller", ["d-14", "d-15", "d-16"])
      yield* visit(`${yield* Served}#/consumers?parked=biller`, {}, async (page) => {
        const rows = page.getByRole("table", { name: "Events parked by biller" }).locator("tbody tr")
        await rows.filter({ hasText: "no room for d-15" }).getByRole("checkbox").check()
        await page.getByRole("button", { name: "Discard 1…" }).click()
        await page.getByRole("heading", { name: "Discard 1 chosen event?" }).waitFor()
        await confirm(page, "Discard")
        await noticed(page, "1 event given up by biller.")
        await rows.filter({ hasText: "no room for d-15" }).waitFor({ state: "detached" })
        await page.getByRole("button", { name: "Retry all…" }).click()
        await page.getByRole("heading", { name: "Retry all parked events?" }).waitFor()
        await confirm(page, "Retry")
        await noticed(page, "2 events will be tried again by whoever runs it.")
        await page.getByRole("link", { name: "Close" }).click()
        await page.getByRole("heading", { name: "Parked by biller" }).waitFor({ state: "detached" })
      })
      assert.deepStrictEqual(
        yield* sql`SELECT aggregate_id, retry_at IS NOT NULL AS due FROM zakops.parked_events WHERE subscription = 'biller' ORDER BY 1`,
        [{ aggregate_id: "d-14", due: true }, { aggregate_id: "d-16", due: true }]
      )
      assert.deepStrictEqual(yield* lastDeed, {
        action: "retry parked",
        filter: { subscription: "biller", events: "all" },
        count: 2
      })
      yield* sql`DELETE FROM zakops.parked_events WHERE subscription = 'biller'`
      yield* sql`DELETE FROM zakops.checkpoints WHERE subscription = 'biller'`
    }))

  it.effect("asks for a rebuild of a projection, and for another version to be live", () =>
    Effect.gen(function*() {
      const { visit } = yield* Browser
      const sql = yield* SqlClient
      yield* visit(`${yield* Served}#/consumers`, {}, async (page) => {
        await page.getByRole("button", { name: "Rebuild pipeline v1" }).click()
        await confirm(page, "Rebuild")
        await noticed(page, /pipeline v1 will be emptied and built anew/)
        await page.getByText("rebuild asked for").waitFor()
        await page.getByRole("button", { name: "Make live pipeline v2" }).click()
        await confirm(page, "Make live")
        await noticed(page, /pipeline v2 will be live/)
      })
      assert.deepStrictEqual(
        yield* sql`SELECT version, reset_requested, switch_requested FROM zakops.projections WHERE name = 'pipeline' ORDER BY version`,
        [
          { version: 1, reset_requested: true, switch_requested: false },
          { version: 2, reset_requested: false, switch_requested: true }
        ]
      )
    }))
}
