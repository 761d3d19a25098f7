/** What a processor looks at, where looking takes long. */
import { assert, layer } from "@effect/vitest"
import * as Database from "@zakops/migrations/Database"
import { DatabaseTime, fromClock } from "@zakops/migrations/DatabaseTime"
import { claimEntries } from "@zakops/outbox/claiming/claimEntries"
import type { Selection } from "@zakops/outbox/claiming/Selection"
import type { Capacity, Looking } from "@zakops/outbox/claiming/takeDue"
import { takeDue } from "@zakops/outbox/claiming/takeDue"
import { randomUUID } from "node:crypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import { FakePublisher } from "../support/FakePublisher.ts"
import { emitDeals, emptyTables, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = services().pipe(
  Layer.provideMerge(FakePublisher.layer),
  Layer.provideMerge(TestDatabase.layer),
  Layer.provideMerge(Layer.succeed(DatabaseTime, fromClock))
)

const capacity = (looking: Looking): Capacity => ({
  looking,
  bytes: () => null,
  free: () => 2,
  inFlight: () => 0,
  run: 1,
  depth: 1,
  suspectsApart: true
})

/** Claims what a selection takes, for as long as a test lasts. */
const claiming = (db: Database.Database) => (selection: Selection) =>
  Effect.map(
    claimEntries(db, "a worker")(selection, randomUUID(), Duration.minutes(1)),
    (claimed) => ({ ...claimed, taken: claimed.entries.length })
  )

/** Rounds of two entries, each of which takes so many milliseconds, and what they have taken. */
const looking = Effect.fnUntraced(function*(millis: number) {
  yield* emptyTables
  const db = yield* Database.make
  const takeNext = takeDue(db, {}, "anywhere", null, "unkeyed")
  const taken: Array<string> = []
  const look = (where: Looking = "busyFirst") =>
    takeNext(capacity(where), 2, (selection: Selection) =>
      Effect.gen(function*() {
        const claimed = yield* claiming(db)(selection)
        yield* TestClock.adjust(millis)
        taken.push(...claimed.entries.map(({ id }) => id))
        return claimed
      }))
  return { look, taken }
})

const handBack = (id: string) =>
  Effect.flatMap(
    SqlClient,
    (sql) =>
      sql`UPDATE zakops.outbox SET status = 'pending', claim_id = NULL, lease_until = NULL WHERE id = ${id}::uuid`
  )

layer(Live)("looking for what is due", (it) => {
  it.effect("begins behind what it has met where it takes long, and at the beginning again in time", () =>
    Effect.gen(function*() {
      const { look, taken } = yield* looking(20)
      const [first = "", ...others] = yield* emitDeals(4)
      yield* look()
      yield* handBack(first)
      yield* look()
      assert.sameMembers(taken, [first, ...others])
      // The first look took 20 ms, so that the next one from the beginning is due 380 ms after it; two have passed since.
      assert.deepStrictEqual(yield* look(), { taken: 0, more: false, again: 340 })
      yield* TestClock.adjust("340 millis")
      assert.deepInclude(yield* look(), { taken: 1, again: Infinity })
      assert.deepStrictEqual(taken.slice(4), [first])
    }))

  it.effect("begins at the beginning where it takes no time, or is asked for all", () =>
    Effect.gen(function*() {
      for (
        const { millis, where } of [{ where: "busyFirst", millis: 10 }, { where: "everywhere", millis: 20 }] as const
      ) {
        const { look, taken } = yield* looking(millis)
        const [first = "", second = "", third = ""] = yield* emitDeals(4)
        yield* look(where)
        yield* handBack(first)
        yield* look(where)
        assert.sameMembers(taken.slice(0, 2), [first, second])
        assert.sameMembers(taken.slice(2), [first, third])
      }
    }))

  it.effect("asks one place in a round while entries keep coming there, and the others every few rounds", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const db = yield* Database.make
      const takeNext = takeDue(db, {}, "anywhere", null)
      const look = (where: Looking) =>
        Effect.gen(function*() {
          const taken: Array<string | null> = []
          let asked = 0
          const round = yield* takeNext(capacity(where), 2, (selection: Selection) =>
            Effect.gen(function*() {
              asked++
              const claimed = yield* claiming(db)(selection)
              taken.push(...claimed.entries.map(({ orderingKey }) => orderingKey))
              return claimed
            }))
          return { asked, taken, more: round.more }
        })
      // Nothing is anywhere.
      yield* look("busyFirst")
      yield* emitDeals(1)
      assert.deepInclude(yield* look("busyOnly"), { asked: 1, taken: [null] })
      yield* emitDeals(1, { orderingKey: "a key" })
      // The place that had something is asked in each round, and no more is known to be there.
      const rounds: Array<{ readonly taken: ReadonlyArray<string | null> }> = []
      while (rounds.at(-1)?.taken.length !== 1) {
        const round = yield* look("busyOnly")
        if (round.taken.length === 0) assert.deepStrictEqual(round, { asked: 1, taken: [], more: false })
        rounds.push(round)
        assert.isAtMost(rounds.length, 8)
      }
      assert.isAbove(rounds.length, 1)
      assert.deepStrictEqual(rounds.at(-1)?.taken, ["a key"])
      // A round that is not to leave out anything where nothing was found asks everywhere.
      yield* look("busyOnly")
      yield* emitDeals(1)
      assert.deepInclude(yield* look("busyFirst"), { taken: [null] })
    }))

  const pause = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
    const sql = yield* SqlClient
    yield* sql`UPDATE zakops.outbox SET event_type = 'paused' WHERE id IN ${sql.in(ids)}`
    yield* sql`INSERT INTO zakops.flow (kind, name, paused_at, paused_by) VALUES ('type', 'paused', now(), 'me')
      ON CONFLICT DO NOTHING`
  })

  it.effect("takes what lies behind many that are paused, and in front of where looks begin that take long", () =>
    Effect.gen(function*() {
      const { look, taken } = yield* looking(20)
      const sql = yield* SqlClient
      yield* emitDeals(2)
      yield* look()
      yield* pause(yield* emitDeals(6))
      const [late = ""] = yield* emitDeals(1)
      yield* sql`UPDATE zakops.outbox SET next_attempt_at = next_attempt_at - interval '1 minute' WHERE status = 'pending'`
      let looks = 0
      while (!taken.includes(late)) {
        assert.isAtMost(++looks, 12)
        const { again } = yield* look()
        if (again < Infinity) yield* TestClock.adjust(again)
      }
    }))

  it.effect("meets no more than it needs where few keys fill the room, and all again where they do not", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const db = yield* Database.make
      const takeNext = takeDue(db, {}, "anywhere", null)
      const met: Array<number> = []
      const look = (room: number, where: Looking = "busyFirst") =>
        takeNext(
          { ...capacity(where), run: 100, depth: 100 },
          room,
          (selection: Selection) =>
            Effect.gen(function*() {
              if (selection.keyed) met.push(selection.limit)
              const claimed = yield* claiming(db)(selection)
              return { ...claimed, keys: new Set(claimed.entries.map(({ orderingKey }) => orderingKey)).size }
            })
        )
      yield* Effect.forEach(["a", "b", "c", "d"], (orderingKey) => emitDeals(40, { orderingKey }))
      assert.deepInclude(yield* look(40), { taken: 40 })
      assert.deepInclude(yield* look(20), { taken: 20 })
      assert.deepStrictEqual(met, [40, 4])
      // The rest of the second key waits for what is being delivered of it, and lies in front of the others.
      assert.deepInclude(yield* look(40), { taken: 0, more: true })
      assert.deepInclude(yield* look(40), { taken: 40 })
      assert.deepInclude(yield* look(40), { taken: 40 })
      assert.deepStrictEqual(met.slice(2), [16, 40, 29])
      // A round that is to leave nothing out meets as much as it may take.
      yield* look(40, "everywhere")
      assert.deepStrictEqual(met.slice(5), [40])
    }))

  it.effect("asks an account that is used up no more often than it has something", () =>
    Effect.gen(function*() {
      yield* emptyTables
      const db = yield* Database.make
      const takeNext = takeDue(db, { destination: { rate: { limit: 2, per: "1 second" } } }, "anywhere", null)
      const look = (where: Looking) => takeNext({ ...capacity(where), free: () => 10 }, 10, claiming(db))
      yield* emitDeals(9)
      assert.deepInclude(yield* look("busyOnly"), { taken: 2 })
      assert.deepStrictEqual(yield* look("busyOnly"), { taken: 0, more: false, again: 500 })
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* look("busyOnly"), { taken: 0, more: false, again: 400 })
      assert.deepStrictEqual(yield* look("everywhere"), { taken: 0, more: false, again: 500 })
      yield* TestClock.adjust("500 millis")
      assert.deepInclude(yield* look("busyOnly"), { taken: 1 })
    }))
})
