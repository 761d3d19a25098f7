/** What docs/ shows and says, run. */
import { assert, layer } from "@effect/vitest"
import * as EventLog from "@zakops/event-store/EventLog"
import { InboxGuard } from "@zakops/inbox"
import { migrate } from "@zakops/migrations/Migrations"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import { BlockedKeys, DeadLetters, OutboxProcessor } from "@zakops/outbox"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { join } from "node:path"
import { putEntries, rowStates } from "../support/deadLetters.ts"
import { emitDeals, emptyTables, entries, entry, eventually, loggedIds, services } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { inSteps, mailer, onBatch, onWebhook } from "./consuming.ts"
import { discardOld, letKeysGoOn, look, redrivePrices } from "./deadLetters.ts"
import { addDeal, DatabaseLive, priceDeal, priceDeals, recordPrice } from "./emitting.ts"
import { blocksOf } from "./pages.ts"
import { deleteOld, deliverAll, Patient, report } from "./processing.ts"
import { layerOwnTable, layerWebhook } from "./publishers.ts"

const Database = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`CREATE TABLE deals (deal_id uuid PRIMARY KEY, title text NOT NULL, amount int)`
  yield* sql`CREATE TABLE mails (event_id uuid NOT NULL, subject text NOT NULL)`
  yield* sql`CREATE TABLE my_events (id uuid PRIMARY KEY, type text NOT NULL, data jsonb NOT NULL)`
})).pipe(Layer.provideMerge(TestDatabase.layer))

const Live = services().pipe(
  Layer.provideMerge(Layer.merge(EventLog.layerPublisher, InboxGuard.layer)),
  Layer.provideMerge(Database)
)

const mails = Effect.gen(function*() {
  const sql = yield* SqlClient
  const rows = yield* sql<{ subject: string }>`SELECT subject FROM mails ORDER BY subject`
  return rows.map(({ subject }) => subject)
})

layer(Live, { excludeTestServices: true })("the examples of docs/", (it) => {
  const clean = Effect.gen(function*() {
    const sql = yield* SqlClient
    yield* emptyTables
    yield* sql`TRUNCATE deals, mails, my_events`
  })

  it.effect("emitting: alone, many, wrapped and on its own", () =>
    Effect.gen(function*() {
      yield* clean
      const { drain } = yield* OutboxProcessor
      const dealId = randomUUID()
      const added = yield* addDeal({ dealId, title: "one" })
      assert.deepStrictEqual(added, { dealId, title: "one", amount: 0, currency: "EUR" })
      yield* priceDeal(dealId, 5)
      assert.lengthOf(yield* priceDeals([dealId], 6), 1)
      yield* recordPrice(dealId, 7)
      assert.strictEqual((yield* drain).delivered, 4)
      assert.lengthOf(yield* loggedIds, 4)
    }))

  it.effect("emitting: in fewer round trips", () =>
    Effect.gen(function*() {
      yield* clean
      const env = ConfigProvider.layer(ConfigProvider.fromUnknown({ DATABASE_URL: yield* TestDatabase.DatabaseUrl }))
      const Fewer = services().pipe(
        Layer.provide(EventLog.layerPublisher),
        Layer.provideMerge(DatabaseLive.pipe(Layer.provide(env)))
      )
      const id = yield* Effect.provide(priceDeal(randomUUID(), 5), Layer.fresh(Fewer))
      assert.strictEqual((yield* entry(id)).status, "pending")
    }))

  it.effect("processing: on demand, reported, and by the program until SIGTERM", () =>
    Effect.gen(function*() {
      yield* clean
      yield* emitDeals(3)
      yield* deliverAll
      yield* deleteOld
      assert.lengthOf(yield* loggedIds, 3)
      yield* report
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(Patient)
        const [id = ""] = yield* emitDeals(1)
        yield* eventually(Effect.map(entry(id), ({ status }) => status === "delivered"))
      }))
      const [status, code] = yield* Effect.scoped(Effect.gen(function*() {
        const env = { ...process.env, DATABASE_URL: yield* TestDatabase.DatabaseUrl }
        const program = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [join(import.meta.dirname, "worker.ts")], { env, stdio: "ignore" })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        const [id = ""] = yield* emitDeals(1)
        yield* eventually(Effect.map(entry(id), (row) => row.status === "delivered"))
        program.kill("SIGTERM")
        const [exitCode] = yield* Effect.promise(() => once(program, "exit"))
        return [(yield* entry(id)).status, exitCode] as const
      }))
      assert.deepStrictEqual([status, code], ["delivered", 130])
    }))

  it.effect("dead letters: looked at, redriven, discarded, and a key let go", () =>
    Effect.gen(function*() {
      yield* clean
      const { drain } = yield* OutboxProcessor
      const days = 86_400
      const data = { dealId: "d", amount: 1 }
      const [mended = "", old = "", head = "", behind = ""] = yield* putEntries(Date.now(), [
        { type: "deal.priced", error: "answered 503", data },
        { type: "deal.priced", error: "answered 404", ago: 100 * days, data },
        { key: "k", blocks: true },
        ...Array.from({ length: 1000 }, () => ({ key: "k", status: "pending", waitsFor: "key" }) as const)
      ])
      yield* Effect.gen(function*() {
        yield* look
        assert.strictEqual(yield* redrivePrices, 1)
        assert.strictEqual(yield* discardOld, 1)
        yield* letKeysGoOn
      }).pipe(Effect.provide(Layer.mergeAll(DeadLetters.layer, BlockedKeys.layer)))
      const rows = yield* rowStates
      const row = (id: string) => rows.find((row) => row.id === id)
      assert.deepInclude(row(old), { status: "dead", discarded: true })
      assert.deepInclude(row(head), { status: "dead", discarded: false, blocks: false })
      assert.isNull(row(behind)?.waits_for)
      yield* drain
      assert.strictEqual((yield* entry(mended)).status, "delivered")
    }))

  it.effect("producing in plain SQL: four columns are enough", () =>
    Effect.gen(function*() {
      yield* clean
      const sql = yield* SqlClient
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'deal.imported', '{"dealId": 7}')`
      yield* (yield* OutboxProcessor).drain
      assert.deepStrictEqual((yield* entries).map(({ status }) => status), ["delivered"])
    }))

  it.effect("consuming: by a consumer, one by one, in batches and in steps, each event once", () =>
    Effect.gen(function*() {
      yield* clean
      const sql = yield* SqlClient
      const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()]
      yield* sql`INSERT INTO zakops.outbox (id, correlation_id, event_type, event_data)
        VALUES (${first}, ${first}, 'deal.created', ${JSON.stringify({ dealId: first, title: "one" })}),
          (${second}, ${second}, 'nobody.cares', '{}')`
      yield* (yield* OutboxProcessor).drain
      const running = yield* Effect.forkChild(mailer)
      yield* eventually(Effect.map(mails, (subjects) => subjects.length === 1))
      yield* Fiber.interrupt(running)

      assert.isTrue(Option.isSome(yield* onWebhook(first, "b")))
      assert.isTrue(Option.isNone(yield* onWebhook(first, "b")))
      yield* onBatch([first, second])
      yield* onBatch([second, third, third])
      yield* inSteps(third)
      yield* inSteps(third)
      assert.deepStrictEqual(
        (yield* mails).toSorted(),
        ["New deal: one", "b", "from a batch", "from a batch", "second", "second"]
      )
    }))

  it.effect("publishers: a table of one's own", () =>
    Effect.gen(function*() {
      yield* clean
      const sql = yield* SqlClient
      yield* emitDeals(2)
      const counts = yield* Effect.flatMap(OutboxProcessor, ({ drain }) => drain).pipe(
        Effect.provide(services().pipe(Layer.provide(layerOwnTable)), { local: true })
      )
      assert.strictEqual(counts.delivered, 2)
      assert.deepStrictEqual(
        [...(yield* sql`SELECT DISTINCT type, jsonb_typeof(data) AS data FROM my_events`)],
        [{ type: "deal.made", data: "object" }]
      )
    }))

  it.effect("publishers: a webhook, whose answers decide", () =>
    Effect.gen(function*() {
      yield* clean
      const statuses = [200, 500, 404, 503]
      const keys: Array<string | undefined> = []
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          keys.push(request.headers["idempotency-key"])
          return HttpClientResponse.fromWeb(request, new Response(null, { status: statuses[keys.length - 1] ?? 200 }))
        })
      )
      const Webhook = services({ concurrency: 1 }).pipe(
        Layer.provide(layerWebhook("https://hooks.example/deals")),
        Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
      )
      const ids = yield* emitDeals(4)
      const counts = yield* Effect.flatMap(OutboxProcessor, ({ runOnce }) => runOnce).pipe(
        Effect.provide(Webhook, { local: true })
      )
      assert.deepInclude(counts, { delivered: 1, retried: 1, dead: 1, handedBack: 1 })
      assert.deepStrictEqual(keys, [...ids])
      assert.deepStrictEqual((yield* entries).map(({ attempts, status }) => `${status} ${attempts}`), [
        "delivered 1",
        "pending 1",
        "dead 1",
        "pending 0"
      ])
    }))

  it.effect("the SQL of the pages runs, one block after another", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      for (const { code, name } of blocksOf("sql")) {
        const exit = yield* Effect.exit(sql.unsafe(code))
        assert.isTrue(Exit.isSuccess(exit), `${name}: ${String(exit)}`)
      }
    }))

  it.effect("a schema of another name has tables of its own", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* Effect.provide(migrate, layerSchemaName("Elsewhere"))
      assert.lengthOf(yield* sql`SELECT FROM "Elsewhere".outbox`, 0)
    }))
})
