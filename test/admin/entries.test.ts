/** Entries as an operator looks at them: page by page in every state, and one with all that is known of it. */
import { assert, layer } from "@effect/vitest"
import type { EntryFilter } from "@zakops/admin/Entries"
import { Entries } from "@zakops/admin/Entries"
import type { EntryState } from "@zakops/admin/api/entries"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { idOf, numberOf, putRows } from "../support/adminRows.ts"
import { emptyTables } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = Entries.layer.pipe(Layer.provideMerge(TestDatabase.layer))

/** The numbers of the entries on all pages, each page of `limit`, with `between` run after each. */
const allPages = Effect.fnUntraced(function*(
  filter: EntryFilter,
  limit: number,
  between: (page: number) => Effect.Effect<unknown, SqlError, SqlClient> = () => Effect.void
) {
  const { list } = yield* Entries
  const seen: Array<number> = []
  let after: string | undefined
  for (let page = 0; page < 100; page++) {
    const { items, next } = yield* list(filter, { limit, after })
    assert.isAtMost(items.length, limit)
    seen.push(...items.map(({ id }) => numberOf(id)))
    if (next === null) return seen
    after = next
    yield* between(page)
  }
  return yield* Effect.die(new Error("the pages have no end"))
})

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n)

/** Ten rows of each state, from `first` on; a route's rows among them. */
const states: Readonly<Record<EntryState, (n: number) => Parameters<typeof putRows>[0][number]>> = {
  pending: (n) => ({
    n,
    ...(n % 3 === 0 ? { key: `free ${n}` } : n % 3 === 1 ? { destination: "billing", event: 1000 + n } : {})
  }),
  behind: (n) => ({ n, key: "k", waitsFor: "key" }),
  held: (n) => ({
    n,
    type: "paused",
    waitsFor: "turn",
    ...(n % 2 === 0 ? { destination: "audit", event: 1000 + n } : {})
  }),
  processing: (n) => ({ n, status: "processing" }),
  delivered: (n) => ({ n, status: "delivered" }),
  dead: (n) => ({ n, status: "dead", error: `refused ${n}` }),
  discarded: (n) => ({ n, status: "dead", discarded: true })
}
const names = Object.keys(states) as ReadonlyArray<EntryState>
const ofState = (state: EntryState) => numbers(names.indexOf(state) * 10, names.indexOf(state) * 10 + 10)
const latestFirst: ReadonlySet<EntryState> = new Set<EntryState>(["delivered", "dead", "discarded"])
const inOrder = (state: EntryState) => latestFirst.has(state) ? ofState(state).toReversed() : ofState(state)

layer(Live)("entries", (it) => {
  it.effect("are listed by state, each once whatever the size of a page, in the order of the state", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* putRows(names.flatMap((state) => ofState(state).map(states[state])))
      for (const state of names) {
        for (const limit of [3, 10, 50]) {
          assert.deepStrictEqual(yield* allPages({ state }, limit), inOrder(state), state)
        }
      }
      assert.deepStrictEqual(yield* allPages({}, 7), numbers(0, 70).toReversed())
      const { list } = yield* Entries
      const [first] = (yield* list({ state: "dead" })).items
      assert.deepInclude(first, {
        id: idOf(59),
        state: "dead",
        attempts: 5,
        error: "refused 59",
        eventType: "deal.made"
      })
      const [routed] = (yield* list({ state: "pending", destination: "billing" })).items
      assert.deepInclude(routed, { id: idOf(1), eventId: idOf(1001), destination: "billing" })
    }))

  it.effect("are found by what their rows say, of one state or of all", () =>
    Effect.gen(function*() {
      yield* emptyTables
      yield* putRows([
        { n: 1, type: "a", key: "k", correlation: 7 },
        { n: 2, type: "b", status: "delivered", aggregate: "x", correlation: 7 },
        { n: 3, type: "a", status: "dead", error: "100% of it_ refused", destination: "billing", event: 2 },
        { n: 4, type: "a", status: "dead", error: "100 of it. refused" }
      ])
      const found = (filter: EntryFilter) => allPages(filter, 2)
      assert.deepStrictEqual(yield* found({ type: "a" }), [4, 3, 1])
      assert.deepStrictEqual(yield* found({ type: "a", state: "dead" }), [4, 3])
      assert.deepStrictEqual(yield* found({ error: "0% of it_" }), [3])
      assert.deepStrictEqual(yield* found({ destination: "billing" }), [3])
      assert.deepStrictEqual(yield* found({ destination: "", state: "dead" }), [4])
      assert.deepStrictEqual(yield* found({ key: "k" }), [1])
      assert.deepStrictEqual(yield* found({ correlationId: idOf(7) }), [2, 1])
      assert.deepStrictEqual(yield* found({ aggregateType: "deal", aggregateId: "x" }), [2])
      assert.deepStrictEqual(yield* found({ aggregateType: "deal", aggregateId: "y" }), [])
      assert.deepStrictEqual(yield* found({ type: "'; DROP TABLE zakops.outbox; --" }), [])
    }))

  it.effect("stand on no two pages, and none is left out, while others arrive and go", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* putRows(numbers(100, 140).map((n) => ({ n, status: "dead" })))
      yield* putRows(numbers(200, 240).map((n) => ({ n, status: "delivered" })))
      yield* putRows(numbers(300, 340).map((n) => ({ n })))
      const more = (page: number) =>
        Effect.andThen(
          putRows([
            { n: 1000 + page, status: "dead" },
            { n: 2000 + page, status: "delivered" },
            { n: 3000 + page }
          ]),
          sql`DELETE FROM zakops.outbox WHERE id IN (${idOf(139 - page)}, ${idOf(239 - page)}, ${idOf(300 + page)})`
        )
      const kept = (seen: ReadonlyArray<number>, from: number) => seen.filter((n) => n >= from && n < from + 40)
      assert.deepStrictEqual(
        kept(yield* allPages({ state: "dead" }, 10, more), 100),
        numbers(100, 140).toReversed()
      )
      yield* emptyTables
      yield* putRows(numbers(200, 240).map((n) => ({ n, status: "delivered" })))
      assert.deepStrictEqual(
        kept(yield* allPages({ state: "delivered" }, 10, more), 200),
        numbers(200, 240).toReversed()
      )
      yield* emptyTables
      yield* putRows(numbers(300, 340).map((n) => ({ n })))
      assert.deepStrictEqual(kept(yield* allPages({ state: "pending" }, 10, more), 300), numbers(300, 340))
    }))

  it.effect("are looked for in parts: a page that has looked far enough says where to go on", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* sql`
        INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data, status, delivered_at, created_at)
        SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, gen_random_uuid(), CASE n WHEN 3 THEN 'rare' ELSE 'x' END, '{}',
          'delivered', '2020-01-01'::timestamptz + n * interval '1 second', now()
        FROM generate_series(1, 21000) AS n`
      const { list } = yield* Entries
      const first = yield* list({ type: "rare", state: "delivered" })
      assert.deepStrictEqual(first.items, [])
      assert.isNotNull(first.next)
      assert.deepStrictEqual(yield* allPages({ type: "rare", state: "delivered" }, 10), [3])
      assert.deepStrictEqual(yield* allPages({ type: "rare" }, 10), [3])
    }))

  it.effect("refuse what cannot be meant, by name", () =>
    Effect.gen(function*() {
      const { list, show } = yield* Entries
      const field = (self: Effect.Effect<unknown, { readonly _tag: string; readonly field?: string }>) =>
        Effect.map(Effect.flip(self), (error) => `${error._tag} ${error.field}`)
      const { next } = yield* list({ state: "delivered", type: "rare" })
      assert.strictEqual(yield* field(list({}, { limit: 0 })), "InvalidRequest limit")
      assert.strictEqual(yield* field(list({}, { limit: 501 })), "InvalidRequest limit")
      assert.strictEqual(yield* field(list({}, { after: "nonsense" })), "InvalidRequest after")
      assert.strictEqual(yield* field(list({ state: "dead" }, { after: next ?? "" })), "InvalidRequest after")
      assert.strictEqual(yield* field(list({ type: "a\u0000" })), "InvalidRequest type")
      assert.strictEqual(yield* field(list({ correlationId: "x" })), "InvalidRequest correlationId")
      assert.strictEqual(yield* field(show("x")), "InvalidRequest id")
    }))

  it.effect("are shown with attempts, neighbours and destinations, and every digit of their numbers", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const sql = yield* SqlClient
      yield* putRows([
        ...numbers(1, 8).map((n) => ({ n, key: "k", waitsFor: "key" as const })),
        {
          n: 8,
          key: "k",
          status: "dead",
          blocks: true,
          error: "refused",
          data: `{"cents": 9007199254740993, "rate": 0.10000000000000000001}`
        },
        ...numbers(9, 20).map((n) => ({ n, key: "k", waitsFor: "key" as const })),
        { n: 30, destination: "billing", event: 8, status: "delivered" },
        { n: 31, key: "other" }
      ])
      yield* sql`UPDATE zakops.outbox SET created_at = 'infinity', headers = '{"n": 12345678901234567890}' WHERE id = ${
        idOf(8)
      }`
      yield* sql`INSERT INTO zakops.outbox_attempts (entry_id, attempt, destination, worker, started_at, ended_at, outcome, error)
        SELECT ${
        idOf(8)
      }::uuid, n, 'there', 'host:1', '2020-01-01', '2020-01-02', 'failed', 'refused' FROM generate_series(1, 5) AS n`
      const { show } = yield* Entries
      const entry = Option.getOrThrow(yield* show(idOf(8)))
      assert.include(entry.data, "9007199254740993")
      assert.include(entry.data, "0.10000000000000000001")
      assert.include(entry.headers, "12345678901234567890")
      assert.isNull(entry.entry.createdAt)
      assert.deepStrictEqual(entry.history.map(({ attempt }) => attempt), [1, 2, 3, 4, 5])
      assert.deepStrictEqual(entry.neighbours.before.map(({ id }) => numberOf(id)), [3, 4, 5, 6, 7])
      assert.deepStrictEqual(entry.neighbours.after.map(({ id }) => numberOf(id)), [9, 10, 11, 12, 13])
      assert.deepStrictEqual(
        entry.destinations.map(({ destination, state }) => [destination, state]),
        [[null, "dead"], ["billing", "delivered"]]
      )
      assert.isNull(entry.logged)
      assert.isTrue(Option.isNone(yield* show(idOf(999))))
    }))
})
