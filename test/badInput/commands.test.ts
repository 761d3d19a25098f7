/** The command line with bad input: one line that says what is wrong, exit code 1, no stack, no password; the tables stay as they are. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { runArgs } from "../support/zakops.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { commandCases } from "./commandCases.ts"

layer(TestDatabase.layer, { excludeTestServices: true })("the command line,", (it) => {
  it.effect("is answered in one line, whatever stands in it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const tables =
        sql`SELECT table_name FROM information_schema.tables WHERE table_schema = 'zakops' ORDER BY table_name`
      const before = yield* tables
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      yield* Effect.forEach(commandCases, ({ args, env, name, says }) =>
        Effect.gen(function*() {
          const { code, stderr, stdout } = yield* runArgs(args, { DATABASE_URL, ...env })
          const all = `${name}: ${stderr.slice(0, 2000)}`
          assert.notStrictEqual(code, 0, all)
          assert.notInclude(`${stdout}${stderr}`, "hunter2", all)
          assert.notMatch(stderr, /^\s+at /m, all)
          if (says === undefined) return
          assert.match(stderr, says, all)
          assert.lengthOf(stderr.trim().split("\n"), 1, all)
          assert.isBelow(stderr.length, 1000, name)
        }), { concurrency: 3, discard: true })
      assert.deepStrictEqual(yield* tables, before)
    }), 240_000)
})
