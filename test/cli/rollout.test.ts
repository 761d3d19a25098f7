/** `zakops rollout report`, as an operator reads it. */
import { assert, layer } from "@effect/vitest"
import { migrate } from "@zakops/migrations/Migrations"
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import * as TestDatabase from "../support/TestDatabase.ts"
import { run } from "../support/commandLine.ts"

const zakops = (command: string) =>
  Effect.flatMap(TestDatabase.DatabaseUrl, (DATABASE_URL) => run(command, { DATABASE_URL }))

layer(TestDatabase.layerEmpty, { excludeTestServices: true })("zakops rollout report", (it) => {
  it.effect("says which events matched, and names the first of those that did not", () =>
    Effect.gen(function*() {
      yield* migrate
      const sql = yield* SqlClient
      const [ghost, same] = [randomUUID(), randomUUID()]
      const record = (id: string, path: string, day: number) =>
        sql`INSERT INTO zakops.shadow_deliveries (event_id, path, event_type, digest, at)
          VALUES (${id}::uuid, ${path}, 'deal.created', 'd', ${new Date(Date.UTC(2026, 0, day))})`
      yield* record(ghost, "direct", 1)
      yield* record(same, "direct", 2)
      yield* record(same, "outbox", 2)

      const { stdout } = yield* zakops("rollout report")
      assert.match(stdout, /^type +matched +different +only direct +only outbox +waiting +dead copy +neither\n/)
      assert.match(stdout, /\ndeal.created +1 +0 +1 +0 +0 +0 +0\n/)
      assert.match(stdout, new RegExp(`\ndeal.created +only direct +${ghost}\n$`))
      const later = JSON.parse((yield* zakops("rollout report --json --since 2026-01-02T00:00:00Z")).stdout)
      assert.deepStrictEqual(later, [{
        eventType: "deal.created",
        matched: 1,
        different: 0,
        onlyDirect: 0,
        onlyOutbox: 0,
        waiting: 0,
        dead: 0,
        neither: 0,
        firstIds: {}
      }])
      const wrong = yield* zakops("rollout report --since yesterday")
      assert.strictEqual(wrong.code, 2)
      assert.match(wrong.stderr, /^zakops: --since is "yesterday"/)
    }))
})
