/** The examples of docs/scaling.md do what the page says. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, layer } from "@effect/vitest"
import { startProxy } from "@zakops/bench/proxy"
import { migrate } from "@zakops/migrations/Migrations"
import { layerSchemaName } from "@zakops/migrations/SchemaName"
import { Workers } from "@zakops/outbox"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { eventually } from "../support/outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { blocksOf } from "./pages.ts"
import { deliverShards, deliverTenant, whoDelivers } from "./scaling.ts"

/** In the database of `url`, and the schema. */
const at = <A, E>(url: string, self: Effect.Effect<A, E, SqlClient>) =>
  Effect.provide(self, Layer.fresh(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })), { local: true })

const emitTo = (url: string, schema = "zakops") =>
  at(
    url,
    Effect.flatMap(SqlClient, (sql) =>
      sql`INSERT INTO ${sql(schema)}.outbox (id, correlation_id, event_type, event_data)
      VALUES (${randomUUID()}, ${randomUUID()}, 'deal.made', '{}')`)
  )

const logged = (url: string, schema = "zakops") =>
  at(
    url,
    Effect.flatMap(SqlClient, (sql) => Effect.map(sql`SELECT FROM ${sql(schema)}.agent_events`, (rows) => rows.length))
  )

layer(Workers.layer.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
  "the examples of scaling",
  (it) => {
    it.effect("deliver from several databases, and from a tenant's schema", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const url = yield* TestDatabase.DatabaseUrl
        const other = new URL(url)
        other.pathname = `${other.pathname}_b`
        yield* Effect.acquireUseRelease(
          sql`CREATE DATABASE ${sql(other.pathname.slice(1))}`,
          () =>
            Effect.gen(function*() {
              const urls = [url, other.toString()]
              yield* at(other.toString(), migrate)
              yield* at(url, Effect.provide(migrate, layerSchemaName("tenant_acme")))
              const shards = yield* Effect.forkChild(deliverShards(urls.map((url) => Redacted.make(url))))
              const tenant = yield* Effect.forkChild(deliverTenant(Redacted.make(url), "acme"))
              yield* Effect.forEach(urls, (url) => emitTo(url))
              yield* emitTo(url, "tenant_acme")
              for (const url of urls) yield* eventually(Effect.map(logged(url), (count) => count === 1))
              yield* eventually(Effect.map(logged(url, "tenant_acme"), (count) => count === 1))
              const { list } = yield* Workers
              yield* eventually(Effect.map(list, (workers) => workers.length === 1))
              yield* whoDelivers
              yield* Fiber.interrupt(shards)
              yield* Fiber.interrupt(tenant)
              assert.deepStrictEqual(yield* list, [])
            }),
          () => Effect.orDie(sql`DROP DATABASE ${sql(other.pathname.slice(1))} WITH (FORCE)`)
        )
      }))

    it.effect("go on with the others when one of the databases is out of reach, and with it when it is back", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const url = yield* TestDatabase.DatabaseUrl
        const other = new URL(url)
        other.pathname = `${other.pathname}_c`
        const before = yield* logged(url)
        yield* Effect.acquireUseRelease(
          sql`CREATE DATABASE ${sql(other.pathname.slice(1))}`,
          () =>
            Effect.gen(function*() {
              yield* at(other.toString(), migrate)
              const proxy = yield* startProxy(other.toString())
              const shards = yield* Effect.forkChild(deliverShards([url, proxy.url].map((url) => Redacted.make(url))))
              yield* emitTo(other.toString())
              yield* eventually(Effect.map(logged(other.toString()), (count) => count === 1))
              proxy.shut(true)
              yield* emitTo(url)
              yield* emitTo(other.toString())
              yield* eventually(Effect.map(logged(url), (count) => count === before + 1))
              assert.strictEqual(yield* logged(other.toString()), 1)
              proxy.shut(false)
              yield* eventually(Effect.map(logged(other.toString()), (count) => count === 2), 60)
              yield* Fiber.interrupt(shards)
            }).pipe(Effect.scoped),
          () => Effect.orDie(sql`DROP DATABASE ${sql(other.pathname.slice(1))} WITH (FORCE)`)
        )
      }))

    it.effect("in SQL can be run", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        for (const { code } of blocksOf("sql").filter(({ name }) => name.endsWith("docs/scaling.md"))) {
          yield* sql.unsafe(code)
        }
      }))
  }
)
