/** The demo as a user runs it, on a database of its own: its books are the check that nothing is lost or doubled. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import * as TestDatabase from "../support/TestDatabase.ts"

const main = join(import.meta.dirname, "../../packages/deal-desk/src/demo/main.ts")

/** What the console says of the demo's traffic while it runs: asked until it is asked for the last time. */
const watch = async (address: string, isOver: () => boolean) => {
  const page = await (await fetch(address)).text()
  let delivered = 0
  while (!isOver()) {
    // The demo may end in the middle of a question.
    const answer = await fetch(`${address}api/overview`).then((response) => response.text()).catch(() => "")
    delivered = Math.max(delivered, Number(/"delivered":\{"value":(\d+)/.exec(answer)?.[1] ?? 0))
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return { page, delivered }
}

/** Runs the demo to its end; the console is looked at while it runs. */
const run = async (databaseUrl: string) => {
  const child = spawn(process.execPath, [main, "--exit"], {
    env: { ...process.env, DATABASE_URL: databaseUrl },
    stdio: ["ignore", "pipe", "inherit"]
  })
  let over = false
  let stdout = ""
  let watched: ReturnType<typeof watch> | undefined
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += String(chunk)
    const address = /^Console: (\S+)/m.exec(stdout)?.[1]
    if (address !== undefined) watched ??= watch(address, () => over)
  })
  const [code] = await once(child, "close")
  over = true
  return { code, stdout, seen: await watched }
}

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("demo --exit", (it) => {
  it.effect(
    "opens with the address of the console, which shows its traffic, and ends with books that add up",
    () =>
      Effect.gen(function*() {
        const DATABASE_URL = yield* TestDatabase.DatabaseUrl
        const { code, seen, stdout } = yield* Effect.promise(() => run(DATABASE_URL))
        assert.strictEqual(code, 0)
        const books = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")
        assert.deepInclude(books, {
          dead: 0,
          redriven: 1,
          lost: 0,
          doubled: 0,
          emitted: books.delivered,
          logged: books.delivered
        })
        const keys = "emitted rolledBack delivered logged handled duplicatesSkipped retried redriven dead lost doubled"
        assert.hasAllKeys(books, keys.split(" "))
        for (const key of ["rolledBack", "handled", "duplicatesSkipped", "retried"]) assert.isAbove(books[key], 0, key)
        assert.include(seen?.page, "<div id=\"console\">")
        assert.isAbove(seen?.delivered ?? 0, 0)
      }),
    120_000
  )
})
