/** Each list that has pages is walked from its first to its last, by the link, with nothing left out and nothing twice. */
import { assert } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Page } from "playwright-core"
import { Browser } from "./Browser.ts"
import { until } from "./looks.ts"
import { Served } from "./servers.ts"
import { putEntries } from "./putEntries.ts"

/** So many fill two pages and a part of a third. */
const many = 120

const put = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* putEntries(Array.from({ length: many }, (_, n) => {
    const status = "dead"
    return { type: "paged.dead", status, key: `paged/${n}`, blocks: true, error: `paged no. ${n};` }
  }))
  yield* sql`INSERT INTO zakops.audit (at, by, action, filter, count)
    SELECT now(), 'pager', 'redrive', jsonb_build_object('paged', 'paged no. ' || n || ';'), 1 FROM generate_series(0, ${
    many - 1
  }) AS n`
  yield* sql`INSERT INTO zakops.streams (aggregate_type, aggregate_id, version, xid)
    SELECT 'pages', 'paged no. ' || n || ';', 1, pg_current_xact_id() FROM generate_series(0, ${many - 1}) AS n`
  yield* sql`
    INSERT INTO zakops.agent_events (id, correlation_id, aggregate_type, aggregate_id, event_type, event_data, created_at, stream_version)
    SELECT gen_random_uuid(), gen_random_uuid(), 'long', 'one', 'paged.no_' || n, '{}', now(), n FROM generate_series(1, ${many}) AS n`
  yield* sql`
    WITH log AS (
      INSERT INTO zakops.agent_events (id, correlation_id, event_type, event_data, created_at)
      SELECT gen_random_uuid(), gen_random_uuid(), 'paged.parked', '{}', now() FROM generate_series(1, ${many}) RETURNING id, xid, position
    )
    INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
    SELECT 'pager', id, xid, position, 'failed', 'paged no. ' || row_number() OVER (ORDER BY position) - 1 || ';', 1, now() FROM log`
})

/** So that what others count on the same pages is as it was, but for the log and the audit, from which nothing is taken. */
const takeAway = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`DELETE FROM zakops.outbox WHERE event_type = 'paged.dead'`
  yield* sql`DELETE FROM zakops.parked_events WHERE subscription = 'pager'`
  yield* sql`DELETE FROM zakops.streams WHERE aggregate_type = 'pages'`
})

const marksOn = async (page: Page, rows: string) =>
  (await page.locator(rows).allInnerTexts()).flatMap((text) =>
    text.match(/paged(?: no\. \d+;|\.no_\d+)/g)?.slice(0, 1) ?? []
  )

/** The marks of the rows of each page. */
const walk = async (page: Page, rows: string) => {
  const pages: Array<ReadonlyArray<string>> = []
  while (true) {
    const before = pages.at(-1)?.[0]
    // The page before stays until the next one is there.
    await until(async () => {
      const [first] = await marksOn(page, rows)
      return first !== undefined && first !== before
    })
    pages.push(await marksOn(page, rows))
    const next = page.getByRole("link", { name: /^(Next page|Earlier)$/ })
    if (await next.count() === 0) return pages
    await next.click()
  }
}

const lists = [
  ["entries", "#/entries?type=paged.dead"],
  ["dead letters", "#/dead?type=paged.dead"],
  ["blocked keys", "#/keys"],
  ["parked events", "#/consumers?parked=pager"],
  ["streams", "#/streams?aggregateType=pages"],
  ["a stream", "#/streams/long/one", ".event"],
  ["the audit", "#/audit?by=pager"]
] as const

export const paging = (it: Vitest.MethodsNonLive<Browser | Served | SqlClient>) => {
  it.effect("walks the pages of each list, and goes back to the first", () =>
    Effect.gen(function*() {
      yield* put
      const { visit } = yield* Browser
      const url = yield* Served
      for (const [name, hash, rows = "tbody tr"] of lists) {
        yield* visit(`${url}${hash}`, {}, async (page) => {
          const pages = await walk(page, rows)
          assert.lengthOf(pages, 3, name)
          assert.lengthOf(pages.flat(), many, name)
          assert.lengthOf(new Set(pages.flat()), many, name)
          const last = page.url()
          await page.getByRole("link", { name: /^(First page|Latest)$/ }).click()
          await until(async () => (await marksOn(page, rows))[0] === pages[0]?.[0])
          await page.goBack()
          await page.waitForURL(last)
          await until(async () => (await marksOn(page, rows))[0] === pages[2]?.[0])
        })
      }
    }).pipe(Effect.ensuring(Effect.orDie(takeAway))), 120_000)
}
