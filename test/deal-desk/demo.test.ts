/** The demo as a user runs it, on a database of its own: its books are the check that nothing is lost or doubled. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import * as TestDatabase from "../support/TestDatabase.ts"

const main = join(import.meta.dirname, "../../packages/deal-desk/src/demo/main.ts")

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("demo --exit", (it) => {
  it.effect("ends with books that add up", () =>
    Effect.gen(function*() {
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, [main, "--exit"], { env: { ...process.env, DATABASE_URL } })
      )
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
    }), 120_000)
})
