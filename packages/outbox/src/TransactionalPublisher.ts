/**
 * Business change and event in one transaction: what `emit` requires in its type, and the only two ways to provide it.
 *
 * `transact` opens a transaction, or a savepoint in the open one; `join` uses the one that is open. A roll-back, of the whole or of the
 * savepoint, takes the events along.
 */
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import type { CommitToken } from "./emitting/resolveCommit.ts"
import { isUnanswered, wasCommitted } from "./emitting/resolveCommit.ts"
import type { CommitNotice } from "./Transaction.ts"
import { openIn, Transaction } from "./Transaction.ts"

/** `join` was called with no transaction open on the client that the outbox uses. */
export class NoTransaction extends Schema.TaggedError<NoTransaction>()("NoTransaction", {}) {
  override get message() {
    return "no transaction is open on this SqlClient: wrap the effect in TransactionalPublisher.transact, or join inside sql.withTransaction"
  }
}

export class TransactionalPublisher extends Context.Service<TransactionalPublisher, {
  /**
   * Runs `self` in a transaction, in which it may emit. Commits when it succeeds; rolls back when it fails, dies or is interrupted.
   * Inside an open transaction it is a savepoint. Fails with what `self` fails with, or with the `SqlError` of BEGIN, of COMMIT or of
   * what was sent along with it.
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
        granted: Omit<Transaction["Service"], "isOpen">
      ): Effect.Effect<A, E, Exclude<R, Transaction>> => {
        let isOpen = true
        return Effect.onExitPrimitive(
          Effect.provideService(self, Transaction, { ...granted, isOpen: () => isOpen }),
          () => {
            isOpen = false
            return undefined
          }
        )
      }

      const join = <A, E, R>(
        self: Effect.Effect<A, E, R>
      ): Effect.Effect<A, E | NoTransaction, Exclude<R, Transaction>> =>
        Effect.withFiber(({ context }) => {
          const level = Context.getOrUndefined(context, sql.transactionService)
          if (level === undefined) return Effect.fail<E | NoTransaction>(new NoTransaction())
          const { atCommit, isKnownAs = () => {} } = openIn(sql, context)?.granted ?? {}
          return grant(self, { connection: level[0], isKnownAs, atCommit })
        })

      const transact = <A, E, R>(
        self: Effect.Effect<A, E, R>
      ): Effect.Effect<A, E | SqlError, Exclude<R, Transaction>> =>
        Effect.withFiber(({ context }) => {
          const isOutermost = Context.getOrUndefined(context, sql.transactionService) === undefined
          const outer = openIn(sql, context)
          // What is there if all of it is; and what was written in savepoints, any of which may have been rolled back.
          let certain: CommitToken | undefined
          const uncertain: Array<CommitToken> = []
          const tokens = () => certain === undefined ? uncertain : [certain]
          const notices = new Set<CommitNotice>()
          const announce = () => {
            for (const notice of notices) {
              if (isOutermost) notice.committed()
              else outer?.granted.atCommit?.(notice)
            }
          }
          let done: { readonly result: A } | undefined
          const transaction = SqlErrors.lostAsFailure(
            sql.withTransaction(Effect.withFiber<A, E, Exclude<R, Transaction>>(({ context }) => {
              // withTransaction has just opened it: there is always one.
              const [connection, depth] = Context.getUnsafe(context, sql.transactionService)
              const granted = grant(self, {
                connection,
                isKnownAs: (token, at) => {
                  if (at === depth) certain = token
                  else if (certain === undefined) uncertain.push(token)
                },
                atCommit: isOutermost || outer?.granted.atCommit !== undefined
                  ? (notice) => notices.add(notice)
                  : undefined
              })
              return Effect.map(granted, (result) => {
                done = { result }
                if (isOutermost) { for (const { committing } of notices) committing() }
                return result
              })
            }))
          )
          const concluded = Effect.onExitPrimitive(transaction, (exit) => {
            // What interrupts it after the COMMIT does not take that back.
            if (Exit.isSuccess(exit) || (done !== undefined && Cause.hasInterruptsOnly(exit.cause))) announce()
            // What a savepoint has written is there with the rest, unless that is rolled back; not what is uncertain within it.
            if (Exit.isSuccess(exit) && outer !== undefined) {
              const depth = certain === undefined ? Infinity : outer.level[1]
              for (const token of tokens()) outer.granted.isKnownAs(token, depth)
            }
            return undefined
          })
          return Effect.catchIf(
            concluded,
            // All of it had been done: what failed is COMMIT.
            (error): error is E & SqlError => done !== undefined && isSqlError(error) && isUnanswered(error),
            (error) =>
              Effect.gen(function*() {
                if (done === undefined || tokens().length === 0 || !isOutermost) return yield* Effect.fail(error)
                const committed = yield* Effect.mapError(wasCommitted(tokens()), () => error)
                if (!committed) return yield* Effect.fail(error)
                announce()
                return done.result
              })
          )
        })

      return { join, transact }
    })
  )
}
