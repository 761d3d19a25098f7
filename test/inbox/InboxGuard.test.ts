/** A handler's effects happen once for each event and consumer, or not at all. */
import { assert, layer } from "@effect/vitest"
import { InboxGuard } from "@zakops/inbox"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const Live = InboxGuard.layer.pipe(Layer.provideMerge(TestDatabase.layer))

layer(Live, { excludeTestServices: true })("the inbox guard", (it) => {
  const setUp = Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* sql`CREATE TABLE IF NOT EXISTS effects (event_id uuid, consumer text)`
    const guard = yield* InboxGuard
    const delivery = { eventId: randomUUID(), consumerId: "mailer" }
    const handle = sql`INSERT INTO effects VALUES (${delivery.eventId}, 'mailer')`
    return { sql, guard, delivery, handle }
  })

  const effects = (eventId: string) =>
    Effect.flatMap(
      SqlClient,
      (sql) => Effect.map(sql`SELECT 1 FROM effects WHERE event_id = ${eventId}::uuid`, (rows) => rows.length)
    )

  const inboxRows = (eventId: string) =>
    Effect.flatMap(SqlClient, (sql) =>
      Effect.map(
        sql<{ consumer_id: string }>`SELECT consumer_id FROM zakops.inbox
          WHERE event_id = ${eventId}::uuid AND processed_at IS NOT NULL ORDER BY consumer_id`,
        (rows) => rows.map((row) => row.consumer_id)
      ))

  it.effect("runs the handler the first time, and skips every other", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle } = yield* setUp
      assert.deepStrictEqual(yield* guard.once(delivery, Effect.as(handle, "done")), Option.some("done"))
      assert.deepStrictEqual(yield* guard.once(delivery, Effect.as(handle, "done")), Option.none())
      assert.deepStrictEqual(
        yield* guard.once({ ...delivery, eventId: delivery.eventId.toUpperCase() }, handle),
        Option.none()
      )
      assert.strictEqual(yield* effects(delivery.eventId), 1)
    }))

  it.effect("lets another consumer handle the same event for itself", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle } = yield* setUp
      yield* guard.once(delivery, handle)
      assert.isTrue(Option.isSome(yield* guard.once({ ...delivery, consumerId: "timeline" }, handle)))
      assert.deepStrictEqual(yield* inboxRows(delivery.eventId), ["mailer", "timeline"])
    }))

  it.effect("leaves neither effects nor an inbox row of a handler that fails, dies, or is interrupted", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle } = yield* setUp
      for (const end of [Effect.fail("no"), Effect.die("boom"), Effect.interrupt]) {
        const exit = yield* Effect.exit(guard.once(delivery, Effect.andThen(handle, end)))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(yield* effects(delivery.eventId), 0)
        assert.deepStrictEqual(yield* inboxRows(delivery.eventId), [])
      }
      assert.strictEqual(yield* Effect.flip(guard.once(delivery, Effect.fail("as it is"))), "as it is")
      assert.isTrue(Option.isSome(yield* guard.once(delivery, handle)))
    }))

  it.effect("makes the second of two deliveries at the same time wait for the first, and then skip", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle, sql } = yield* setUp
      const [began, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const first = yield* Effect.forkChild(guard.once(
        delivery,
        Effect.all([handle, Deferred.succeed(began, void 0), Deferred.await(mayEnd)])
      ))
      yield* Deferred.await(began)
      const second = yield* Effect.forkChild(guard.once(delivery, handle))
      yield* eventually(Effect.map(
        sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        (rows) => rows.length === 1
      ))
      yield* Deferred.succeed(mayEnd, void 0)
      assert.isTrue(Option.isSome(yield* Fiber.join(first)))
      assert.isTrue(Option.isNone(yield* Fiber.join(second)))
      assert.strictEqual(yield* effects(delivery.eventId), 1)
    }))

  it.effect("lets the second take over where the first fails", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle } = yield* setUp
      const began = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(Effect.exit(guard.once(
        delivery,
        Effect.all([handle, Deferred.succeed(began, void 0), Effect.sleep("50 millis"), Effect.fail("no")])
      )))
      yield* Deferred.await(began)
      assert.isTrue(Option.isSome(yield* guard.once(delivery, handle)))
      assert.isTrue(Exit.isFailure(yield* Fiber.join(first)))
      assert.strictEqual(yield* effects(delivery.eventId), 1)
    }))

  it.effect("rolls back with the transaction that it is used in", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle, sql } = yield* setUp
      yield* Effect.ignore(sql.withTransaction(Effect.andThen(guard.once(delivery, handle), Effect.fail("no"))))
      assert.deepStrictEqual(yield* inboxRows(delivery.eventId), [])
    }))

  it.effect("handles of many events those that are new, in one transaction", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle } = yield* setUp
      const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()]
      yield* guard.once({ ...delivery, eventId: b }, Effect.void)
      const given = [c, a, b, c, a.toUpperCase()]
      const failed = guard.onceForEach("mailer", given, () => Effect.andThen(handle, Effect.fail("no")))
      assert.strictEqual(yield* Effect.flip(failed), "no")
      assert.deepStrictEqual(yield* guard.onceForEach("mailer", given, Effect.succeed), Option.some([c, a]))
      assert.deepStrictEqual(yield* guard.onceForEach("mailer", given, Effect.succeed), Option.none())
      assert.deepStrictEqual(yield* guard.onceForEach("mailer", [], Effect.succeed), Option.none())
    }))

  it.effect("handles overlapping batches in opposite order at the same time without a deadlock", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      const ids = Array.from({ length: 50 }, () => randomUUID())
      const batches = Array.from({ length: 8 }, (_, i) => i % 2 === 0 ? ids : ids.toReversed())
      const handled = yield* Effect.forEach(batches, (batch) => guard.onceForEach("batch", batch, Effect.succeed), {
        concurrency: "unbounded"
      })
      assert.sameMembers(handled.flatMap(Option.getOrElse((): ReadonlyArray<string> => [])), ids)
    }))

  it.effect("as a scoped guard says whether to process, and commits when its scope closes in success", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle } = yield* setUp
      const attempt = (end: Effect.Effect<void, string>) =>
        Effect.scoped(Effect.gen(function*() {
          const { shouldProcess, within } = yield* guard.open(delivery)
          if (shouldProcess) yield* within(handle)
          yield* end
          return shouldProcess
        }))
      assert.strictEqual(yield* Effect.flip(attempt(Effect.fail("no"))), "no")
      assert.strictEqual(yield* effects(delivery.eventId), 0)
      assert.isTrue(yield* attempt(Effect.void))
      assert.isFalse(yield* attempt(Effect.void))
      assert.strictEqual(yield* effects(delivery.eventId), 1)
      assert.deepStrictEqual(yield* inboxRows(delivery.eventId), ["mailer"])
    }))

  it.effect("refuses what is no delivery", () =>
    Effect.gen(function*() {
      const { delivery, guard, handle } = yield* setUp
      for (
        const wrong of [
          { ...delivery, eventId: "42" },
          { ...delivery, consumerId: "" },
          { ...delivery, consumerId: "x".repeat(101) },
          { ...delivery, consumerId: "a\u0000" }
        ]
      ) {
        assert.strictEqual((yield* Effect.flip(guard.once(wrong, handle)))._tag, "InvalidDelivery")
      }
      assert.strictEqual(yield* effects(delivery.eventId), 0)
    }))
})
