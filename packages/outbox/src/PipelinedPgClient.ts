/**
 * A `PgClient` whose transactions take fewer round trips: BEGIN goes with the first statement, and what was emitted, once or a hundred
 * times, with COMMIT.
 *
 * Events without a key are written by one statement ahead of the next other one of the transaction, which fails where they cannot be: an
 * `emit` that has succeeded only says that they will be. Transactions have a pool of their own, whose sessions are read-only outside of
 * transactions: what was sent behind a BEGIN that failed cannot change the database. Not for poolers.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgPool from "@effect/sql-pg/PgPool"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Reactivity } from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import type { Connection } from "effect/sql/SqlConnection"
import * as SqlClient from "effect/sql/SqlClient"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { outsideTransaction } from "./emitting/outsideTransaction.ts"
import { PipelinedConnection } from "./connecting/PipelinedConnection.ts"

const readOnly = "default_transaction_read_only"

/**
 * In place of `PgClient.make`. Opens up to `maxConnections` for transactions and as many for single statements, `minConnections` of each at
 * once, and a further one for a moment when a transaction's session is new, or a statement of it is interrupted.
 *
 * The `SqlError` of BEGIN, or of a connection that cannot be had, is that of the first statement of a transaction, or of COMMIT. A `ConnectionError`
 * there says that a pooler stands in between. A transaction with a `SqlClient.BeginTransaction` of its own is an ordinary one.
 */
export const make = Effect.fnUntraced(function*(
  config: PgClient.PgPoolConfig
): Effect.fn.Return<PgClient.PgClient, SqlError, Scope.Scope | Reactivity> {
  const client = yield* PgClient.make(config)
  const pool = yield* PgPool.make({
    ...config,
    startupParameters: { ...config.startupParameters, [readOnly]: "on" },
    // For one at a time, which may send a statement before the last one's answer.
    multiplex: true,
    multiplexConcurrency: 1
  })

  const begins = new WeakMap<PgConnection.PgConnection, string>()
  const acquire = Effect.gen(function*() {
    const session = yield* pool.get
    const begin = begins.get(session) ?? (yield* beginOf(client, session))
    begins.set(session, begin)
    const connection = new PipelinedConnection(session, begin, cancel(client, session))
    yield* Effect.addFinalizer(() => connection.end() ? pool.invalidate(session) : Effect.void)
    return connection
  })

  const savepoint = (id: number) => `effect_sql_${id}`
  const of = (connection: Connection) => connection as PipelinedConnection
  const pipelined = SqlClient.makeWithTransaction<SqlClient.TransactionConnection, Connection>({
    transactionService: client.transactionService,
    spanAttributes: spanAttributes(config),
    acquireConnection: (restore) => restore(acquire),
    begin: () => Effect.void,
    commit: (connection) => of(connection).commit,
    rollback: (connection) => of(connection).rollback,
    savepoint: (connection, id) => connection.execute(`SAVEPOINT ${savepoint(id)}`, [], undefined),
    releaseSavepoint: (connection, id) => of(connection).control(`RELEASE SAVEPOINT ${savepoint(id)}`),
    rollbackSavepoint: (connection, id) => of(connection).control(`ROLLBACK TO SAVEPOINT ${savepoint(id)}`)
  })
  const ordinary = client.withTransaction
  const withTransaction: PgClient.PgClient["withTransaction"] = (self) =>
    Effect.withFiber((fiber) => {
      const open = Context.getOrUndefined(fiber.context, client.transactionService)?.[0]
      if (open === undefined) {
        return fiber.getRef(SqlClient.BeginTransaction) === undefined ? pipelined(self) : ordinary(self)
      }
      // A savepoint is of the kind of its transaction. Nothing interrupts SAVEPOINT, so what was deferred is not sent along with it.
      return open instanceof PipelinedConnection ? Effect.andThen(open.written, pipelined(self)) : ordinary(self)
    })
  return Object.assign(client, { withTransaction })
})

/** In place of `PgClient.layer`: see `make`. */
export const layer = (config: PgClient.PgPoolConfig): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SqlError> =>
  PgClient.layerFrom(make(config))

/** In place of `PgClient.layerConfig`: see `make`. */
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

/** On a connection that is opened for it, since others may hold the client's, or on one of those where the server has room for no more. */
const aside = (client: PgClient.PgClient, statement: string): Effect.Effect<ReadonlyArray<unknown>, SqlError> =>
  Effect.scoped(Effect.flatMap(PgConnection.make(client.config), (other) => other.query(statement))).pipe(
    Effect.map(({ rows }) => rows),
    Effect.catch(() => outsideTransaction(client)(client.unsafe(statement)))
  )

/**
 * What a transaction of a new session begins with: so that it may write, unless an ordinary one might not. A pooler may leave out what a
 * session is to begin with, and lends the sessions of others, which must not be cancelled.
 */
const beginOf = Effect.fnUntraced(function*(client: PgClient.PgClient, session: PgConnection.PgConnection) {
  // Whether there is a row is the answer: a client may have types of its own.
  const isReadOnly = `current_setting('${readOnly}') = 'on'`
  const own = yield* session.query(`SELECT WHERE ${isReadOnly} AND pg_backend_pid() = ${session.processId}`)
  if (own.rows.length === 0) {
    const message =
      `a session does not keep ${readOnly}, or is another's: is there a pooler in between? Use PgClient there`
    return yield* new SqlError({
      reason: new ConnectionError({ cause: new Error(message), message, operation: "connect" })
    })
  }
  const ordinary = yield* aside(client, `SELECT WHERE ${isReadOnly} OR pg_is_in_recovery()`)
  return ordinary.length > 0 ? "BEGIN" : "BEGIN READ WRITE"
})

const cancel = (client: PgClient.PgClient, session: PgConnection.PgConnection): Effect.Effect<unknown> =>
  Effect.catch(
    aside(client, `SELECT pg_cancel_backend(${session.processId})`),
    (error) => Effect.logDebug(`a statement could not be cancelled: ${SqlErrors.serverText(error)}`)
  )
