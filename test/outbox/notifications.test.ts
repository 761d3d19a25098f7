/** When notifications are sent: by a clock that stands still, so that what is gathered is never sent by itself. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import { notifier } from "@zakops/outbox/connecting/Notifications"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { SqlClient } from "effect/sql/SqlClient"
import { TransactionalPublisher } from "@zakops/outbox"
import * as EventLog from "@zakops/event-store/EventLog"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { emitDeals, emptyTables, entries, eventually, services } from "../support/outbox.ts"
import { slowCommit } from "../support/slowCommit.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const channel = "told"

/** How many notifications were heard; the number when that many have come, and some time has passed in which no more did. */
const listening = Effect.gen(function*() {
  const sql = yield* PgClient
  const notifications = yield* sql.listen(channel)
  const heard = Queue.size(notifications)
  return (count: number) =>
    Effect.gen(function*() {
      yield* TestClock.withLive(eventually(Effect.map(heard, (size) => size >= count)))
      yield* TestClock.withLive(Effect.sleep("30 millis"))
      assert.strictEqual(yield* heard, count)
    })
})

layer(TestDatabase.layer)("a notifier", (it) => {
  it.effect("sends the first at once, gathers what follows, and sends that when its program ends", () =>
    Effect.scoped(Effect.gen(function*() {
      const heard = yield* listening
      yield* Effect.scoped(Effect.gen(function*() {
        const { notify } = yield* notifier
        notify(channel)
        yield* heard(1)
        notify(channel)
        notify(channel)
        yield* heard(1)
        // No longer than the first waits: the next shall still wait, however soon it comes to that.
        yield* TestClock.adjust("5 millis")
        yield* heard(2)
        notify(channel)
        yield* heard(2)
      }))
      yield* heard(3)
    })))

  it.effect("does not hold back what one that was sent ahead has announced", () =>
    Effect.scoped(Effect.gen(function*() {
      const heard = yield* listening
      const { notify, notifyAhead } = yield* notifier
      notifyAhead(channel)
      yield* heard(1)
      notify(channel)
      yield* heard(2)
    })))

  it.effect("sends one ahead for many that are tried meanwhile", () =>
    Effect.scoped(Effect.gen(function*() {
      const heard = yield* listening
      const { notifyAhead } = yield* notifier
      notifyAhead(channel)
      yield* heard(1)
      notifyAhead(channel)
      yield* heard(1)
      yield* TestClock.adjust("10 millis")
      notifyAhead(channel)
      yield* heard(2)
    })))

  it.effect("sends nothing ahead where many are told", () =>
    Effect.scoped(Effect.gen(function*() {
      const heard = yield* listening
      const { notify, notifyAhead } = yield* notifier
      notify(channel)
      yield* heard(1)
      notifyAhead(channel)
      yield* TestClock.adjust("1 minute")
      yield* heard(1)
      notifyAhead(channel)
      yield* heard(2)
    })))
})

const Emitting = services().pipe(Layer.provideMerge(EventLog.layerPublisher), Layer.provideMerge(TestDatabase.layer))

layer(Emitting, { excludeTestServices: true })("a transaction that has emitted", (it) => {
  it.effect("tells of its COMMIT while that is under way, and of the commit", () =>
    Effect.scoped(Effect.gen(function*() {
      const { transact } = yield* TransactionalPublisher
      yield* emptyTables
      const slow = yield* slowCommit(0.5)
      const notifications = yield* (yield* PgClient).listen("zakops_outbox")
      const emitting = yield* Effect.forkChild(
        transact(Effect.andThen(slow, emitDeals(1)))
      )
      yield* Queue.take(notifications)
      assert.lengthOf(yield* entries, 0)
      assert.isUndefined(emitting.pollUnsafe())
      yield* Queue.take(notifications)
      assert.lengthOf(yield* entries, 1)
    })))

  it.effect("has told nobody of what is rolled back, nor where it is a savepoint of a transaction that goes on", () =>
    Effect.scoped(Effect.gen(function*() {
      const sql = yield* SqlClient
      const { transact } = yield* TransactionalPublisher
      const notifications = yield* (yield* PgClient).listen("zakops_outbox")
      yield* Effect.ignore(transact(Effect.andThen(emitDeals(1), Effect.fail("rolled back"))))
      yield* transact(Effect.gen(function*() {
        yield* transact(emitDeals(1))
        yield* sql`SELECT pg_sleep(0.05)`
        assert.strictEqual(yield* Queue.size(notifications), 0)
      }))
      yield* eventually(Effect.map(Queue.size(notifications), (size) => size > 0))
    })))
})
