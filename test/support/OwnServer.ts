/** A Postgres of a test file's own, migrated, for what has to do with the server's settings. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { start } from "@zakops/deal-desk/EmbeddedPostgres"
import { migrate } from "@zakops/migrations/Migrations"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

export class ServerUrl extends Context.Service<ServerUrl, string>()("@zakops/test/ServerUrl") {}

export const clientOf = (url: string, maxConnections = 4) => PgClient.layer({ url: Redacted.make(url), maxConnections })

/** With these settings, and a pool of connections to it. */
export const layer = (settings: Parameters<typeof start>[0]) =>
  Layer.effectDiscard(migrate).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(ServerUrl, (url) => clientOf(url)))),
    Layer.provideMerge(Layer.effect(ServerUrl, start(settings)))
  )
