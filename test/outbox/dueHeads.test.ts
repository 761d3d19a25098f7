/** Of each key no more than its first open entry, and that only where it may be taken now. */
import { assert, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { claimEntries } from "@zakops/outbox/claiming/claimEntries"
import { dueHeads } from "@zakops/outbox/claiming/dueHeads"
import { beginning } from "@zakops/outbox/claiming/Selection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emptyTables, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services().pipe(Layer.provideMerge(FakePublisher.layer), Layer.provideMerge(TestDatabase.layer))

/** What is in front of an entry of its own key, by name, and whether that entry may be taken. */
const fronts: ReadonlyArray<readonly [front: string, columns: Record<string, unknown>, mayBeTaken: boolean]> = [
  ["was delivered", { status: "delivered", delivered_at: "now" }, true],
  ["is dead, and blocks nothing", { status: "dead", blocks: false }, true],
  ["is dead, and blocks", { status: "dead", blocks: true }, false],
  ["waits for its time", { next_attempt_at: "tomorrow" }, false],
  ["is being delivered", { status: "processing", claim_id: randomUUID(), lease_until: "tomorrow" }, false],
  [
    "was held by a worker who is gone",
    { status: "processing", claim_id: randomUUID(), lease_until: "yesterday" },
    false
  ],
  ["has to take its turn", { event_type: "limited" }, false],
  ["has made two processes crash", { crashes: 2 }, false]
]

layer(Live)("the first entries of many keys", (it) => {
  const names = new Map<string, string>()
  const put = Effect.fnUntraced(function*(key: string, name: string, columns: Record<string, unknown> = {}) {
    const sql = yield* SqlClient
    const id = randomUUID()
    names.set(id, name)
    yield* sql`INSERT INTO zakops.outbox ${
      sql.insert({ id, correlation_id: id, ordering_key: key, event_data: "{}", ...columns })
    }`
  })

  const claim = Effect.fnUntraced(function*(limit: number, bytes: number | null = null) {
    const db = yield* Database.make
    const some = { limit, meet: limit, run: limit, depth: limit, after: beginning, bytes }
    const taking = {
      ...some,
      time: yield* db.now,
      destination: "anywhere",
      route: null,
      limited: ["limited"],
      suspectsApart: true
    }
    const { entries } = yield* claimEntries(db, "a worker")(dueHeads(db, taking), randomUUID(), Duration.minutes(1))
    return entries.map(({ id }) => names.get(id))
  })

  it.effect("are taken where nothing of their key stands in front of them", () =>
    Effect.gen(function*() {
      yield* emptyTables
      for (const [front, columns] of fronts) {
        yield* put(front, `the front that ${front}`, columns)
        yield* put(front, front)
        yield* put(front, `behind what ${front}`)
      }
      yield* put("alone", "alone")
      const expected = [...fronts.filter(([, , mayBeTaken]) => mayBeTaken).map(([front]) => front), "alone"]
      assert.sameMembers(yield* claim(100), expected)
      assert.deepStrictEqual(yield* claim(100), [])
    }))

  it.effect("are taken up to the limit, and to so many bytes, the oldest first", () =>
    Effect.gen(function*() {
      yield* emptyTables
      for (const key of ["a", "b", "c", "d", "e", "f"]) yield* put(key, key)
      assert.sameMembers(yield* claim(2), ["a", "b"])
      assert.sameMembers(yield* claim(100, 1), ["c"])
      assert.sameMembers(yield* claim(100), ["d", "e", "f"])
    }))
})
