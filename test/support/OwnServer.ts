/** A Postgres of a test file's own, migrated, for what has to do with the server's settings. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { start } from "@zakops/deal-desk/EmbeddedPostgres"
import { migrate } from "@zakops/migrations/Migrations"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"

export class ServerUrl extends Context.Service<ServerUrl, string>()("@zakops/test/ServerUrl") {}

export const clientOf = (url: string, maxConnections = 4) => PgClient.layer({ url: Redacted.make(url), maxConnections })

/** With these settings, and a pool of connections to it. */
export const layer = (settings: Parameters<typeof start>[0]) =>
  Layer.effectDiscard(migrate).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(ServerUrl, (url) => clientOf(url)))),
    Layer.provideMerge(Layer.effect(ServerUrl, start(settings)))
  )

/** One statement after the other, each on its own. */
export const execute = (...statements: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement)))

/** As another user of the server, whose password is `secret`. */
export const as = (user: string) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const url = new URL(yield* ServerUrl)
    url.username = user
    url.password = "secret"
    return yield* Effect.provide(self, clientOf(url.toString()))
  })
