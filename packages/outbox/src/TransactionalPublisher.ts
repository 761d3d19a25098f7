/**
 * Business change and event in one transaction: what `emit` requires in its type, and the only two ways to provide it.
 *
 * `transact` opens a transaction, or a savepoint in the open one; `join` uses the one that is open. A roll-back, of the whole or of the
 * savepoint, takes the events along.
 */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import type { CommitToken } from "./emitting/resolveCommit.ts"
import { isUnanswered, wasCommitted } from "./emitting/resolveCommit.ts"

/**
 * The right to emit: an open transaction. `TransactionalPublisher` alone provides it, so that emitting outside of one does not compile.
 */
export class Transaction extends Context.Service<Transaction, {
  /** The connection that the transaction has reserved. */
  readonly connection: Connection
  /** False once `transact` or `join` has ended. */
  readonly isOpen: () => boolean
  /** To be told by what the transaction can be recognized, by whoever has written something in it. */
  readonly isKnownAs: (token: CommitToken) => void
}>()("@zakops/outbox/Transaction") {}

/** `join` was called with no transaction open on the client that the outbox uses. */
export class NoTransaction extends Schema.TaggedError<NoTransaction>()("NoTransaction", {}) {
  override get message() {
    return "no transaction is open on this SqlClient: wrap the effect in TransactionalPublisher.transact, or join inside sql.withTransaction"
  }
}

export class TransactionalPublisher extends Context.Service<TransactionalPublisher, {
  /**
   * Runs `self` in a transaction, in which it may emit. Commits when it succeeds; rolls back when it fails, dies or is interrupted.
   * Inside an open transaction it is a savepoint. Fails with what `self` fails with, or with the `SqlError` of BEGIN or COMMIT.
   *
   * Where the connection is lost during COMMIT and something was emitted, it asks the database what has become of the transaction, for half
   * a minute at most: it succeeds if that was committed, and fails with the `SqlError` if it was rolled back or cannot be told.
   *
   * @example
   * publisher.transact(Effect.gen(function*() {
   *   yield* sql`INSERT INTO deals ${sql.insert(deal)}`
   *   yield* outbox.emit(yield* DealCreated.make(deal), { correlationId: deal.id })
   * }))
   */
  readonly transact: <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError, Exclude<R, Transaction>>
  /**
   * Lets `self` emit in the transaction that a plain `sql.withTransaction` has opened. Opens nothing: `NoTransaction` if there is none.
   */
  readonly join: <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | NoTransaction, Exclude<R, Transaction>>
}>()("@zakops/outbox/TransactionalPublisher") {
  static readonly layer = Layer.effect(
    TransactionalPublisher,
    Effect.gen(function*() {
      const sql = yield* SqlClient

      const grant = <A, E, R>(
        self: Effect.Effect<A, E, R>,
        connection: Connection,
        isKnownAs: (token: CommitToken) => void
      ) =>
        Effect.suspend(() => {
          let isOpen = true
          return self.pipe(
            Effect.provideService(Transaction, { connection, isKnownAs, isOpen: () => isOpen }),
            Effect.ensuring(Effect.sync(() => {
              isOpen = false
            }))
          )
        })

      /** What tells the transaction that is open on `connection`, if `transact` has opened it. */
      const tellOuter = (context: Context.Context<never>, connection: Connection): (token: CommitToken) => void => {
        const outer = Context.getOrUndefined(context, Transaction)
        return outer?.connection === connection ? outer.isKnownAs : () => {}
      }

      const join = <A, E, R>(
        self: Effect.Effect<A, E, R>
      ): Effect.Effect<A, E | NoTransaction, Exclude<R, Transaction>> =>
        Effect.withFiber(({ context }) => {
          const level = Context.getOrUndefined(context, sql.transactionService)
          return level === undefined
            ? Effect.fail<E | NoTransaction>(new NoTransaction())
            : grant(self, level[0], tellOuter(context, level[0]))
        })

      const transact = <A, E, R>(
        self: Effect.Effect<A, E, R>
      ): Effect.Effect<A, E | SqlError, Exclude<R, Transaction>> =>
        Effect.suspend(() => {
          let token: CommitToken | undefined
          let done: { readonly result: A } | undefined
          let tell: (token: CommitToken) => void = () => {}
          const transaction = SqlErrors.lostAsFailure(
            sql.withTransaction(Effect.withFiber<A, E, Exclude<R, Transaction>>(({ context }) => {
              // withTransaction has just opened it: there is always one.
              const [connection] = Context.getUnsafe(context, sql.transactionService)
              tell = tellOuter(context, connection)
              const granted = grant(self, connection, (known) => {
                token = known
              })
              return Effect.map(granted, (result) => {
                done = { result }
                return result
              })
            }))
          )
          // What a savepoint has written is there with the rest, unless it was rolled back to.
          const told = Effect.map(transaction, (result) => {
            if (token !== undefined) tell(token)
            return result
          })
          return Effect.catchIf(
            told,
            // All of it had been done: what failed is COMMIT.
            (error): error is E & SqlError => done !== undefined && isSqlError(error) && isUnanswered(error),
            (error) =>
              Effect.gen(function*() {
                const inOther = Option.isSome(yield* Effect.serviceOption(sql.transactionService))
                if (done === undefined || token === undefined || inOther) return yield* Effect.fail(error)
                const committed = yield* Effect.mapError(wasCommitted(sql, token), () => error)
                return committed ? done.result : yield* Effect.fail(error)
              })
          )
        })

      return { join, transact }
    })
  )
}
