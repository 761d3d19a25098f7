/** A database of its own for a test file, on the server that all share; dropped when the file is done. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PipelinedPgClient from "@zakops/outbox/PipelinedPgClient"
import { migrate } from "@zakops/migrations/Migrations"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { randomBytes } from "node:crypto"
import { inject } from "vitest"

/** The URL of the test file's database. */
export class DatabaseUrl extends Context.Service<DatabaseUrl, string>()("@zakops/test/DatabaseUrl") {}

const withDatabase = (url: string, name: string) => {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.toString()
}

const admin = <A, E>(self: Effect.Effect<A, E, SqlClient>) =>
  Effect.provide(self, PgClient.layer({ url: Redacted.make(inject("serverUrl")), maxConnections: 1 }))

const layerUrl = Layer.effect(
  DatabaseUrl,
  Effect.gen(function*() {
    const name = `zakops_test_${randomBytes(6).toString("hex")}`
    yield* Effect.acquireRelease(
      admin(Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* sql`CREATE DATABASE ${sql(name)}`
      })),
      () =>
        Effect.orDie(admin(Effect.gen(function*() {
          const sql = yield* SqlClient
          yield* sql`DROP DATABASE IF EXISTS ${sql(name)} WITH (FORCE)`
        })))
    )
    return withDatabase(inject("serverUrl"), name)
  })
)

/** What a client layer gives. */
export type Client = PgClient.PgClient | SqlClient

/** The clients that an outbox may be used with: what promises something of a transaction is tested with each. */
export const clients = [["PgClient", PgClient.layer], ["PipelinedPgClient", PipelinedPgClient.layer]] as const

/** A client for the test file's database. */
export const layerClient = (
  options?: { readonly maxConnections?: number },
  client: (config: PgClient.PgPoolConfig) => Layer.Layer<Client, SqlError> = PgClient.layer
) =>
  Layer.unwrap(
    Effect.map(DatabaseUrl, (url) => client({ url: Redacted.make(url), maxConnections: options?.maxConnections ?? 10 }))
  )

/** A second client of the same database, for as long as the scope is open. */
export const otherClient = Effect.map(
  Effect.flatMap(DatabaseUrl, (url) => Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 2 }))),
  (context) => Context.get(context, SqlClient)
)

/** An empty database. */
export const layerEmpty = layerClient().pipe(Layer.provideMerge(layerUrl))

/** A database with the tables of ZakOps, and a client of the given kind. */
export const layerOver = (client: Parameters<typeof layerClient>[1]) =>
  Layer.effectDiscard(migrate).pipe(Layer.provideMerge(layerClient({}, client)), Layer.provideMerge(layerUrl))

/** A database with the tables of ZakOps. */
export const layer = layerOver(PgClient.layer)
