/** The commands of an operator with bad input: one line that says what is wrong, an exit code other than 0, no password; nothing is changed. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { runHere } from "../support/commandLine.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const texts = [
  "",
  "a\u0000b",
  "\ud800",
  "x".repeat(10_000),
  "'; DROP TABLE zakops.outbox; --",
  "%s%n",
  "\u001b[31m",
  "a\nb"
]

const numbers = ["0", "-1", "501", "1.5", "NaN", "1e9", "99999999999999999999", "ten"]

/** Refused whatever follows; the others may find nothing, which is no mistake. */
const refused: ReadonlyArray<ReadonlyArray<string>> = [
  ...numbers.map((n) => ["entry", "list", `--limit=${n}`]),
  ...numbers.map((n) => ["audit", `--limit=${n}`]),
  ...["-1", "501", "1.5", "x"].map((n) => ["tail", `--last=${n}`, "--count", "1"]),
  ...["0", "-5", "x"].map((n) => ["tail", `--count=${n}`]),
  ...["0", "0.1", "3601", "-1", "NaN", "Infinity", "x"].map((n) => ["status", "--watch", `--interval=${n}`]),
  ...["", "5", "d", "5w", "-5d", "1e3d", "5 d", "٥d", "99999999999999999999d"].map((age) => [
    "purge",
    "delivered",
    `--older-than=${age}`
  ]),
  ["purge", "everything", "--older-than", "1d"],
  ["purge", "delivered"],
  ["pause"],
  ["pause", "--type", "a", "--destination", "b"],
  ["resume"],
  ...["", "a\u0000b", "\ud800"].map((name) => ["pause", `--type=${name}`]),
  ...["", "a\u0000b", "\ud800"].map((by) => ["pause", "--type", "a", `--by=${by}`]),
  ...texts.map((id) => ["entry", "show", "--", id]),
  ...texts.map((cursor) => ["entry", "list", `--after=${cursor}`]),
  ...texts.filter((text) => text !== "").map((cursor) => ["audit", `--after=${cursor}`]),
  ...texts.map((cursor) => ["tail", `--after=${cursor}`, "--count", "1"]),
  ["tail", "--last", "5", "--after", "x"],
  ["entry", "list", "--state", "gone"],
  ["entry", "list", "--correlation-id", "none"],
  ["doctor", "--fail-on", "ok"],
  ["migrate", "--dry-run", "--sql"],
  ["worker", "--json"],
  ["init", "--dir", "/no/such/folder"],
  ["init", "--dir", "/dev/null"],
  ["init", "--dir", "a\u0000b"],
  ["entry"].concat("shwo", "x"),
  ["--what"]
]

/** Taken as text, and found to match nothing or refused; never a defect. */
const harmlessOnes: ReadonlyArray<ReadonlyArray<string>> = texts.flatMap((text) => [
  ["entry", "list", `--type=${text}`],
  ["entry", "list", `--error=${text}`],
  ["audit", `--by=${text}`],
  ["resume", `--type=${text}`]
])

layer(TestDatabase.layer, { excludeTestServices: true })("the commands of an operator,", (it) => {
  const state = Effect.flatMap(
    SqlClient,
    (sql) =>
      sql`SELECT (SELECT count(*) FROM information_schema.tables WHERE table_schema = 'zakops')::int AS tables,
      (SELECT count(*) FROM zakops.flow)::int AS paused, (SELECT count(*) FROM zakops.audit)::int AS deeds`
  )

  it.effect("refuse what is not allowed in one line, and change nothing", () =>
    Effect.gen(function*() {
      const before = yield* state
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      for (const args of refused) {
        const name = JSON.stringify(args).slice(0, 200)
        const ended = yield* Effect.timeoutOrElse(runHere(args, { DATABASE_URL }), {
          duration: "20 seconds",
          orElse: () => Effect.succeed({ code: 0, stdout: "", problem: "no answer" })
        })
        assert.include([1, 2, 4], ended.code, `${name}: ${ended.problem} ${ended.stdout}`)
        assert.match(ended.problem, /^zakops: [^\n]+\n?$/, name)
        assert.notMatch(ended.problem, /\p{Cc}(?!$)/u, name)
        assert.isBelow(ended.problem.length, 1000, name)
        assert.strictEqual(ended.stdout, "", name)
      }
      assert.deepStrictEqual(yield* state, before)
    }), 120_000)

  it.effect("take any text where text is asked for, or refuse it by name", () =>
    Effect.gen(function*() {
      const before = yield* state
      const DATABASE_URL = yield* TestDatabase.DatabaseUrl
      for (const args of harmlessOnes) {
        const { code, problem, stdout } = yield* runHere(args, { DATABASE_URL })
        const name = JSON.stringify(args).slice(0, 200)
        assert.include([0, 2], code, `${name}: ${problem}`)
        assert.notMatch(stdout.replaceAll("\n", ""), /\p{Cc}/u, name)
        if (code !== 0) assert.match(problem, /^zakops: [^\n]+\n?$/, name)
      }
      assert.deepStrictEqual(yield* state, before)
    }))
})
