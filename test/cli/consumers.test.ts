/** `zakops consumers`, as an operator runs it who has neither the console nor a projection. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { onDatabase, printed } from "../support/commandLine.ts"
import { auditRows } from "../support/deadLetters.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

/** A subscription that is three events behind, and has parked two of those before them. */
const put = Effect.gen(function*() {
  const sql = yield* SqlClient
  const events = yield* sql<{ id: string }>`
    INSERT INTO zakops.agent_events (id, correlation_id, event_type, schema_version, event_data, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'deal.made', 2, '{}', now() - interval '2 minutes' FROM generate_series(1, 5) AS n
    RETURNING id`
  yield* sql`INSERT INTO zakops.checkpoints (subscription, xid, position, runner, lease_until, updated_at)
    SELECT 'mails', xid, position, 'host:7', now() + interval '1 minute', now() FROM zakops.agent_events ORDER BY position OFFSET 1 LIMIT 1`
  yield* sql`INSERT INTO zakops.parked_events (subscription, event_id, xid, position, reason, error, attempts, parked_at)
    SELECT 'mails', id, xid, position, 'failed', 'mailbox full', 1, now() FROM zakops.agent_events ORDER BY position LIMIT 2`
  return events.slice(0, 2).map(({ id }) => id)
})

layer(TestDatabase.layer, { excludeTestServices: true })("zakops consumers", (it) => {
  it.effect("lists who reads the log, and what they have parked, which it has retried or gives up", () =>
    Effect.gen(function*() {
      assert.match(yield* printed("consumers", "list"), /^subscription +behind .*\n$/)
      const [first = "", second = ""] = yield* put
      assert.match(yield* printed("consumers", "list"), /\nmails +3 +2m \d+s +2 +2 of 5 +host:7 +\S+Z\n$/)
      const [mails] = JSON.parse(yield* printed("consumers", "list", "--json")) as ReadonlyArray<unknown>
      assert.deepInclude(mails, { subscription: "mails", position: "2", newest: "5", runner: "host:7" })

      const page = yield* printed("consumers", "parked", "mails", "--limit", "1")
      assert.match(page, new RegExp(`\\n${first} +deal\\.made v2 +1 +failed +1 +mailbox full\\n\\nthose after them: `))
      const [, after = ""] = /--after (\S+)\n$/.exec(page) ?? []
      const next = JSON.parse(yield* printed("consumers", "parked", "mails", "--after", after, "--json")) as unknown
      assert.deepNestedInclude(next, { "items[0].eventId": second, next: null })

      assert.match(yield* printed("consumers", "retry", "mails", "--all", "--by", "ann"), /^2 parked events will be /)
      assert.strictEqual(
        yield* printed("consumers", "discard", "mails", "--id", second, "--json"),
        "{\n  \"discarded\": 1\n}\n"
      )
      assert.notInclude(yield* printed("consumers", "parked", "mails"), second)
      assert.strictEqual(
        yield* printed("consumers", "parked", "mails", "--after", after),
        "it has parked nothing after these\n"
      )
      assert.deepStrictEqual((yield* auditRows).map(({ action, count }) => [action, count]), [
        ["retry parked", 2],
        ["discard parked", 1]
      ])

      // Its place is gone, and what it has set aside is not.
      const sql = yield* SqlClient
      yield* sql`DELETE FROM zakops.checkpoints`
      assert.strictEqual(yield* printed("consumers", "discard", "mails", "--all"), "1 parked events are discarded\n")
      assert.strictEqual((yield* onDatabase("consumers", "parked", "mails")).code, 4)
    }))

  it.effect("knows no other subscription, and changes nothing that was not named", () =>
    Effect.gen(function*() {
      for (
        const [args, line, code] of [
          [["parked", "nobody"], /^zakops: there is no subscription nobody/, 4],
          [["retry", "nobody", "--all"], /^zakops: there is no subscription nobody/, 4],
          [["discard", "mails"], /^zakops: say which parked events/, 2],
          [["discard", "mails", "--all", "--id", "7"], /^zakops: say which parked events/, 2]
        ] as const
      ) {
        const ended = yield* onDatabase("consumers", ...args)
        assert.match(ended.problem, line)
        assert.strictEqual(ended.code, code)
      }
    }))
})
