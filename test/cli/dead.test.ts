/** `zakops dead` and `zakops keys`, as an operator runs them. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import { auditRows, putEntries, rowStates } from "../support/deadLetters.ts"
import type { DeadRow } from "../support/deadLetters.ts"
import { emptyTables } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { run } from "../support/commandLine.ts"

const zakops = (command: string) =>
  Effect.flatMap(TestDatabase.DatabaseUrl, (DATABASE_URL) => run(command, { DATABASE_URL }))

/** What the command prints, which must have gone well. */
const shown = (command: string) =>
  Effect.map(zakops(command), ({ code, stderr, stdout }) => {
    assert.strictEqual(code, 0, stderr)
    return stdout
  })

const put = Effect.fnUntraced(function*(rows: ReadonlyArray<DeadRow>) {
  yield* emptyTables
  return yield* putEntries(Date.now(), rows)
})

layer(TestDatabase.layer, { excludeTestServices: true })("zakops dead", (it) => {
  it.effect("lists by filter, in pages, as a table and as JSON, with no control characters", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* shown("dead list"), "there are no dead letters of that kind\n")
      const [old = "", blocking = "", last = ""] = yield* put([
        { ago: 7200, error: "refused\u001b[31m\nby it" },
        { key: "k", blocks: true, ago: 600 },
        { type: "deal.lost" }
      ])
      const table = yield* shown("dead list")
      assert.match(table, /^id +type +key +attempts +redrives +died +error\n/)
      assert.include(table, "k (blocked)")
      assert.include(table, "refused [31m by it")
      assert.match(table, /\n3 of 3\n$/)
      assert.include(yield* shown("dead list --older-than 1h"), old)
      assert.notInclude(yield* shown("dead list --newer-than 1h --type deal.made"), last)
      const page = JSON.parse(yield* shown("dead list --limit 1 --json")) as {
        readonly count: number
        readonly items: ReadonlyArray<{ readonly id: string }>
        readonly next: string
      }
      assert.deepStrictEqual([page.count, page.items.map(({ id }) => id)], [3, [last]])
      assert.include(yield* shown(`dead list --limit 1 --after ${page.next}`), blocking)
      assert.match(yield* shown("dead groups type"), /^type +count .*\ndeal\.made +2 .*\ndeal\.lost +1 /)
    }))

  it.effect("shows an entry with its event, settings and attempts", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const [id = ""] = yield* put([{ key: "k", blocks: true }])
      yield* sql`INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, worker, ended_at, outcome, error)
        VALUES (${id}, 1, 'hooks', 'host:7', now(), 'failed', 'answered 500')`
      const text = yield* shown(`dead show ${id}`)
      assert.match(text, /state +dead, and blocks its key/)
      assert.include(text, "\"title\": \"a deal\"")
      assert.match(text, /1 +\S+Z +failed +hooks +host:7 +answered 500/)
      assert.strictEqual(yield* shown(`dead show ${id} --json`), yield* shown(`entry show ${id} --json`))
    }))

  it.effect("redrives and discards what was asked for, and says who did it", () =>
    Effect.gen(function*() {
      const [one = "", two = ""] = yield* put([{}, { type: "deal.lost" }, { error: "down" }, {}])
      const preview = yield* shown("dead redrive --all --dry-run")
      assert.match(preview, /^4 entries are meant; nothing was changed\n/)
      assert.include(preview, "They were not decoded")
      const json = JSON.parse(yield* shown("dead discard --error down --dry-run --json")) as Record<string, unknown>
      assert.deepInclude(json, { dryRun: true, matching: 1 })
      assert.lengthOf(yield* auditRows, 0)

      assert.strictEqual(
        yield* shown(`dead redrive --id ${one} --id ${two} --rate 2 --by jane`),
        "2 entries will be tried again, 2 a second\n"
      )
      assert.strictEqual(yield* shown("dead discard --error down"), "1 entries are discarded\n")
      assert.strictEqual(yield* shown("dead redrive --all --json"), "{\"redriven\":1}\n")
      assert.deepStrictEqual((yield* rowStates).map(({ discarded, status }) => discarded ? "discarded" : status), [
        "pending",
        "pending",
        "discarded",
        "pending"
      ])
      const [first, second, third] = yield* auditRows
      assert.deepStrictEqual(first, { by: "jane", action: "redrive", filter: { ids: [one, two], rate: 2 }, count: 2 })
      assert.strictEqual(second?.by.endsWith(`@${hostname()}`), true)
      assert.deepStrictEqual(third?.filter, { all: true })
    }))

  it.effect("lists blocked keys, unblocks them, and discards their heads", () =>
    Effect.gen(function*() {
      const [head = "", , other = ""] = yield* put([
        { key: "a", blocks: true },
        { key: "a", status: "pending", waitsFor: "key" },
        { key: "b", blocks: true }
      ])
      assert.match(yield* shown("keys blocked"), new RegExp(`^key +waiting .*\na +1 +\\S+ +${head} `))
      const page = yield* shown("keys blocked --limit 1 --json")
      const { items, next } = JSON.parse(page) as { readonly items: ReadonlyArray<unknown>; readonly next: string }
      assert.deepInclude(items[0], { key: "a", headId: head })
      assert.include(yield* shown("keys blocked --limit 1"), `\n\nthose after them: --after ${next}\n`)
      assert.match(yield* shown(`keys blocked --limit 1 --after ${next}`), new RegExp(`\nb +0 +\\S+ +${other} .*\n$`))
      assert.include(yield* shown("keys unblock a --by jane"), `a goes on without ${head}`)
      assert.include(yield* shown("keys discard-head b"), `${other} is discarded`)
      assert.strictEqual(yield* shown("keys blocked"), "no key is blocked\n")
      assert.deepStrictEqual((yield* auditRows).map(({ action }) => action), ["unblock", "discard"])
    }))

  it.effect("tells mistakes in one line and ends with a code that says of which kind they are", () =>
    Effect.gen(function*() {
      yield* put([{}])
      yield* Effect.forEach(
        [
          ["dead redrive", /^zakops: say which dead letters: --id, /, 2],
          ["dead discard --dry-run", /^zakops: say which dead letters: --id, /, 2],
          ["dead redrive --all --type a", /^zakops: --all means every dead letter/, 2],
          ["dead redrive --id 7", /^zakops: ids contains "7", which is no UUID/, 2],
          ["dead redrive --all --rate 0", /^zakops: rate is 0 a second: allowed is /, 2],
          ["dead list --older-than soon", /^zakops: --older-than is "soon": give it as /, 2],
          ["dead list --limit 0", /^zakops: limit is 0: allowed is /, 2],
          ["dead show 7", /^zakops: id is "7", which is no UUID/, 2],
          [`dead show ${randomUUID()}`, /^zakops: there is no entry /, 4],
          [`dead redrive --id ${randomUUID()}`, /^zakops: none of the entries that --id names is a dead letter/, 4],
          [`dead discard --id ${randomUUID()}`, /^zakops: none of the entries that --id names is a dead letter/, 4],
          ["keys unblock a", /^zakops: the key "a" is not blocked/, 4]
        ] as const,
        ([command, line, expected]) =>
          Effect.map(zakops(command), ({ code, stderr }) => {
            assert.strictEqual(code, expected, command)
            assert.match(stderr, line)
            assert.lengthOf(stderr.trim().split("\n"), 1)
          }),
        { concurrency: 2 }
      )
      assert.deepStrictEqual((yield* rowStates).map(({ status }) => status), ["dead"])
    }))
})
