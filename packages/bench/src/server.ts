/** The Postgres that is measured on: one of the bench's own, or the server of DATABASE_URL. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { start } from "@zakops/deal-desk/EmbeddedPostgres"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { arch, cpus, totalmem } from "node:os"

/**
 * Memory in which the work fits, and no checkpoint in the middle of a run; all else as Postgres comes, with fsync and synchronous_commit
 * on.
 */
const settings = { shared_buffers: "2GB", max_wal_size: "16GB", checkpoint_timeout: "30min" }

export interface Server {
  readonly url: string
  readonly embedded: boolean
}

/** In the scope. */
export const server = Effect.gen(function*() {
  const given = yield* Effect.orDie(Config.option(Config.String("DATABASE_URL")))
  return Option.isSome(given)
    ? { url: given.value, embedded: false }
    : { url: yield* start(settings), embedded: true }
})

/** On what it was measured. */
export const environment = ({ embedded, url }: Server) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [server] = yield* sql<{ version: string; settings: string }>`
      SELECT current_setting('server_version') AS version,
        (SELECT string_agg(name || ' ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings
          WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_level', 'shared_buffers', 'max_wal_size',
            'checkpoint_timeout', 'autovacuum', 'work_mem')) AS settings`
    const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
    return `Postgres ${server?.version}${
      embedded ? ", embedded" : ""
    } (${server?.settings}), Node ${process.versions.node}, ` +
      `${cpus().length} cores (${arch()}) and ${memory} of memory, shared by server and client`
  }).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })), Effect.orDie)
