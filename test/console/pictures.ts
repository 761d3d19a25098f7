/**
 * Takes the pictures of the documentation: `pnpm pictures` writes docs/images. The same browser, server and data as in the
 * tests, without the malicious entry; a Postgres of its own, or a database of its own on the server of DATABASE_URL.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { start } from "@zakops/deal-desk/EmbeddedPostgres"
import { migrate } from "@zakops/migrations/Migrations"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { Browser, findBrowser } from "./Browser.ts"
import type { Look } from "./Browser.ts"
import { secrets, serve, tokens } from "./servers.ts"
import { makeWorld } from "./world.ts"

const folder = join(import.meta.dirname, "..", "..", "docs", "images")

interface Picture {
  readonly name: string
  readonly look?: Look
  readonly hash: string
  /** What has to be there before it is taken. */
  readonly until: string
  readonly prepare?: (page: Page) => Promise<void>
}

const picturesOf = (entryId: string): ReadonlyArray<Picture> => [
  { name: "entries", hash: "#/entries", until: "behind" },
  { name: "overview", hash: "#/", until: "app-1.prod:411" },
  { name: "overview-dark", look: { dark: true }, hash: "#/", until: "app-1.prod:411" },
  { name: "overview-phone", look: { phone: true, sharp: true }, hash: "#/", until: "app-1.prod:411" },
  { name: "entry", hash: `#/entries/${entryId}`, until: "Dead: delivered no more by itself" },
  { name: "dead-letters", hash: "#/dead", until: "user 4000" },
  {
    name: "redrive",
    look: { dark: true },
    hash: "#/dead?error=ETIMEDOUT",
    until: "ETIMEDOUT 10.0.4.8",
    prepare: async (page) => {
      await page.getByRole("button", { name: "Redrive all matching…" }).click()
      await page.getByRole("dialog").getByText("10 entries").waitFor()
    }
  },
  { name: "dead-letters-phone", look: { phone: true, sharp: true }, hash: "#/dead", until: "user 4000" },
  { name: "keys", hash: "#/keys", until: "deal/d-78" },
  { name: "consumers", hash: "#/consumers?parked=mailer", until: "behind another" },
  { name: "stream", hash: "#/streams/deal/d-12?version=5", until: "State at version 5" },
  { name: "tail-dark", look: { dark: true }, hash: "#/tail", until: "deal.stage_changed" },
  { name: "doctor", hash: "#/doctor", until: "retention" }
]

/** A database that is dropped when the scope closes. */
const database = Effect.gen(function*() {
  const given = yield* Config.option(Config.String("DATABASE_URL"))
  const server = Option.isSome(given) ? given.value : yield* start()
  const url = new URL(server)
  url.pathname = "/zakops_pictures"
  const admin = (run: (sql: SqlClient) => Effect.Effect<unknown, unknown>) =>
    Effect.orDie(Effect.provide(Effect.flatMap(SqlClient, run), PgClient.layer({ url: Redacted.make(server) })))
  const drop = admin((sql) => sql`DROP DATABASE IF EXISTS zakops_pictures WITH (FORCE)`)
  yield* Effect.acquireRelease(Effect.andThen(drop, admin((sql) => sql`CREATE DATABASE zakops_pictures`)), () => drop)
  return PgClient.layer({ url: Redacted.make(url.toString()), maxConnections: 10 })
})

/** As many as make the numbers of a running system; the workers have just been seen. */
const populate = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`
    INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, status, attempts, created_at, delivered_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'deal.created', '{}', 'delivered', 1, clock_timestamp() - interval '1 hour',
      clock_timestamp() - n * interval '1 second' - interval '3 minutes'
    FROM generate_series(1, 9482) AS n`
  yield* sql`ANALYZE zakops.outbox`
})

const take = Effect.fnUntraced(function*(address: string, picture: Picture) {
  const { visit } = yield* Browser
  const sql = yield* SqlClient
  yield* sql`UPDATE zakops.workers SET seen_at = clock_timestamp()`
  yield* sql`UPDATE zakops.outbox SET next_attempt_at = clock_timestamp() - interval '2 seconds'
    WHERE next_attempt_at < clock_timestamp() AND status = 'pending' AND waits_for IS NULL`
  yield* visit(`${address}#token=${secrets.operate}`, picture.look ?? {}, async (page) => {
    await page.locator(".who").getByText("mira").waitFor({ state: "attached" })
    await page.evaluate(`location.hash = ${JSON.stringify(picture.hash)}`)
    await page.locator("main").getByText(picture.until).filter({ visible: true }).first().waitFor()
    await page.evaluate("document.fonts.ready")
    await picture.prepare?.(page)
    await page.waitForTimeout(300)
    await page.screenshot({ path: join(folder, `${picture.name}.png`) })
  })
  yield* Effect.sync(() => process.stdout.write(`${picture.name}.png\n`))
})

const wanted = process.argv.slice(2)

const main = Effect.gen(function*() {
  const executablePath = yield* Effect.promise(findBrowser)
  if (executablePath === undefined) return
  mkdirSync(folder, { recursive: true })
  const client = yield* database
  yield* Effect.gen(function*() {
    yield* migrate
    yield* makeWorld({ hostile: false })
    const sql = yield* SqlClient
    const [entry] = yield* sql<{ id: string }>`SELECT id FROM zakops.outbox WHERE blocks ORDER BY seq LIMIT 1`
    const address = yield* serve({ tokens })
    for (const [n, picture] of picturesOf(entry?.id ?? "").entries()) {
      // The list of entries shows every state as long as there are few.
      if (n === 1) yield* populate
      if (wanted.length === 0 || wanted.includes(picture.name)) yield* take(address, picture)
    }
  }).pipe(Effect.provide(Layer.merge(client, Browser.layer(executablePath))), Effect.scoped)
})

await Effect.runPromise(Effect.scoped(main))
