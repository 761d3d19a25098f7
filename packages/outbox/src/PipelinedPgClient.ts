/**
 * A `PgClient` whose transactions take fewer round trips: BEGIN goes with the first statement, and what was emitted, once or a hundred
 * times, with COMMIT.
 *
 * Events without a key are written by one statement ahead of the next other one of the transaction, which fails where they cannot be: an
 * `emit` only says that they will be. Transactions have a pool of their own, of as many connections again, whose sessions are read-only
 * outside of transactions: what was sent behind a BEGIN that failed can change nothing. Not for a pooler that lends a session for one
 * transaction.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { PipelinedConnection } from "./connecting/PipelinedConnection.ts"

type Key = Context.Key<SqlClient.TransactionConnection, readonly [PipelinedConnection, number]>

const readOnly = "default_transaction_read_only"

/** In place of `PgClient.make`. A transaction with a `SqlClient.BeginTransaction` of its own is an ordinary one. */
export const make = Effect.fnUntraced(function*(config: PgClient.PgPoolConfig) {
  const client = yield* PgClient.make(config)
  const pool = yield* PgPool.make({
    ...config,
    startupParameters: { ...config.startupParameters, [readOnly]: "on" },
    // For one at a time, which may send a statement before the last one's answer.
    multiplex: true,
    multiplexConcurrency: 1
  })

  const checked = new WeakSet<PgConnection.PgConnection>()
  const lend = Effect.gen(function*() {
    const session = yield* pool.get
    if (!checked.has(session)) {
      yield* requireReadOnly(session)
      checked.add(session)
    }
    const connection = new PipelinedConnection(session, cancel(config, session))
    yield* Effect.addFinalizer(() => Effect.sync(() => connection.end()))
    return connection
  })

  const savepoint = (id: number) => `effect_sql_${id}`
  const control = (connection: PipelinedConnection, statement: string) => connection.execute(statement, [], undefined)
  const pipelined = SqlClient.makeWithTransaction<SqlClient.TransactionConnection, PipelinedConnection>({
    // The connections of ordinary transactions do not come here.
    transactionService: client.transactionService as unknown as Key,
    spanAttributes: spanAttributes(config),
    acquireConnection: (restore) => restore(lend),
    begin: () => Effect.void,
    commit: (connection) => connection.commit,
    rollback: (connection) => connection.rollback,
    savepoint: (connection, id) => control(connection, `SAVEPOINT ${savepoint(id)}`),
    releaseSavepoint: (connection, id) => control(connection, `RELEASE SAVEPOINT ${savepoint(id)}`),
    rollbackSavepoint: (connection, id) => control(connection, `ROLLBACK TO SAVEPOINT ${savepoint(id)}`)
  })
  const ordinary = client.withTransaction
  const withTransaction: PgClient.PgClient["withTransaction"] = (self) =>
    Effect.withFiber((fiber) => {
      const open = Context.getOrUndefined(fiber.context, client.transactionService)
      const isPipelined = open === undefined
        ? fiber.getRef(SqlClient.BeginTransaction) === undefined
        : open[0] instanceof PipelinedConnection
      return isPipelined ? pipelined(self) : ordinary(self)
    })
  return Object.assign(client, { withTransaction })
})

/** In place of `PgClient.layer`. */
export const layer = (config: PgClient.PgPoolConfig): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SqlError> =>
  PgClient.layerFrom(make(config))

/** In place of `PgClient.layerConfig`. */
export const layerConfig = (
  config: Config.Wrap<PgClient.PgPoolConfig>
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, Config.ConfigError | SqlError> =>
  PgClient.layerFrom(Effect.flatMap(Config.unwrap(config), make))

/** As those of the client. */
const spanAttributes = (config: PgClient.PgPoolConfig): ReadonlyArray<readonly [string, unknown]> => [
  ...Object.entries(config.spanAttributes ?? {}),
  ["db.system.name", "postgresql"],
  ["db.namespace", config.database ?? config.username ?? "postgres"],
  ["server.address", config.host ?? "localhost"],
  ["server.port", config.port ?? 5432]
]

/** A pooler may leave out what a session is to begin with, and lend the sessions of others. */
const requireReadOnly = Effect.fnUntraced(function*(session: PgConnection.PgConnection) {
  const { rows } = yield* session.query(`SHOW ${readOnly}`)
  if (rows[0]?.[readOnly] === "on") return
  return yield* new SqlError({
    reason: new ConnectionError({
      cause: new Error(`the session does not keep ${readOnly}: is there a pooler in between? Use PgClient there`),
      message: "PipelinedPgClient: the session does not keep its settings",
      operation: "connect"
    })
  })
})

/** From another connection, as sql-pg's own does, which cancels nothing on a connection with `multiplex`. */
const cancel = (config: PgClient.PgPoolConfig, session: PgConnection.PgConnection): Effect.Effect<void> =>
  Effect.scoped(
    Effect.flatMap(
      PgConnection.make(config),
      (other) => other.query("SELECT pg_cancel_backend($1)", [session.processId])
    )
  ).pipe(
    Effect.catch((error) => Effect.logWarning("a statement could not be cancelled, and is waited for", error))
  )
