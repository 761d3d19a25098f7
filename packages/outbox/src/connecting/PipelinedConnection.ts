/**
 * The connection of a transaction that sends what nobody has to wait for along with what comes next: BEGIN with the first statement, and
 * rows that were deferred with COMMIT. A business row and an event are two round trips instead of four, with ten events as well.
 *
 * What is sent behind a BEGIN is run whatever has become of BEGIN. So its session has to be read-only outside of transactions
 * (`default_transaction_read_only`): a statement that would change the database fails there, and with it the transaction.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Connection } from "effect/sql/SqlConnection"
import { isSqlError, SqlError, UnknownError } from "effect/sql/SqlError"
import { mostCharacters, mostRows } from "../emitting/insertEntries.ts"
import type { CompiledStatement } from "./compiledOnce.ts"

type TransformRows = (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

interface Deferred {
  readonly rows: Array<unknown>
  readonly statementsOf: (rows: ReadonlyArray<never>) => ReadonlyArray<CompiledStatement>
  characters: number
}

/** As long as sql-pg waits for a statement to be given up. */
const patience = "5 seconds"

export class PipelinedConnection implements Connection {
  readonly #session: PgConnection.PgConnection
  readonly #begin: string
  readonly #cancel: Effect.Effect<unknown>
  /** One statement at a time, or a stream: an interruption cancels no other's. */
  readonly #turn = Semaphore.makeUnsafe(1)
  #begun = false
  #deferred: Deferred | undefined
  /** What has been sent ahead of something else, and is not answered yet. */
  readonly #inFlight = new Set<Fiber.Fiber<unknown, SqlError>>()
  /** Of what was sent ahead: nothing more is done, and it is rolled back. */
  #failed: SqlError | undefined
  /** It has ended, or is at its COMMIT. */
  #isOver = false
  /** The session did not answer any more, and is to be closed. */
  #isLost = false

  /**
   * @param session of a pool with `multiplex`, lent to nobody else
   * @param begin what a transaction begins with
   * @param cancel makes the server give up what the session is at
   */
  constructor(session: PgConnection.PgConnection, begin: string, cancel: Effect.Effect<unknown>) {
    this.#session = session
    this.#begin = begin
    this.#cancel = cancel
  }

  /**
   * Leaves rows to be written by `statementsOf`, together with those that follow, ahead of the next other statement or of COMMIT; that
   * fails, if they cannot be written. The statements must not wait for other transactions, since nothing interrupts a COMMIT.
   *
   * @param characters about as many as the rows have
   */
  defer<Row>(
    rows: ReadonlyArray<Row>,
    characters: number,
    statementsOf: (rows: ReadonlyArray<Row>) => ReadonlyArray<CompiledStatement>
  ): Effect.Effect<unknown, SqlError> {
    return Effect.suspend(() => {
      const stopped = this.#stopped
      if (stopped !== undefined) return Effect.fail(stopped)
      if (this.#deferred !== undefined && this.#deferred.statementsOf !== statementsOf) this.#sendAhead()
      const deferred = this.#deferred ??= { rows: [], characters: 0, statementsOf }
      for (const row of rows) deferred.rows.push(row)
      deferred.characters += characters
      // As much as one statement writes: what it takes in memory is bounded.
      return deferred.rows.length < mostRows && deferred.characters < mostCharacters
        ? Effect.void
        // Within a stream, which has the turn, it would wait for ever.
        : this.#turn.withPermitsIfAvailable(1)(this.#written)
    })
  }

  /** Writes what was deferred. */
  get written(): Effect.Effect<unknown, SqlError> {
    return Effect.suspend(() => this.#deferred === undefined ? Effect.void : this.#turn.withPermit(this.#written))
  }

  get commit(): Effect.Effect<void, SqlError> {
    const sent = Effect.suspend(() => {
      const isEmpty = !this.#begun && this.#deferred === undefined
      if (!isEmpty) this.#sendAhead()
      this.#isOver = true
      if (this.#failed !== undefined) return Effect.andThen(Effect.exit(this.#rollBack), Effect.fail(this.#failed))
      if (isEmpty) return Effect.void
      return this.#isLost
        ? Effect.fail(notGivenUp())
        : Effect.flatMap(Effect.exit(this.#session.query("COMMIT")), (exit) => this.#committed(exit))
    })
    // What waits for a session that a stream has held may still turn out not to be sendable.
    return this.#turn.withPermit(Effect.andThen(Effect.exit(this.#answered), sent))
  }

  get rollback(): Effect.Effect<void, SqlError> {
    return this.#turn.withPermit(Effect.suspend(() => {
      this.#isOver = true
      return this.#begun && !this.#isLost ? this.#rollBack : Effect.void
    }))
  }

  /** Ends a savepoint, which what was deferred outside of it meanwhile is no part of. */
  control(statement: string): Effect.Effect<unknown, SqlError> {
    return this.#turn.withPermit(Effect.suspend(() => {
      // With the session all savepoints are gone.
      if (this.#isLost) return Effect.void
      return this.#isOver ? Effect.fail(ended()) : this.#session.query(statement)
    }))
  }

  /**
   * To be called before the session is given back: whoever still has this connection must not write in somebody else's transaction. True
   * where the session has to be closed.
   */
  end(): boolean {
    this.#isOver = true
    return this.#isLost
  }

  execute(statement: string, params: ReadonlyArray<unknown>, transformRows: TransformRows) {
    return this.#rows(this.#session.query(statement, params), transformRows)
  }
  executeUnprepared(statement: string, params: ReadonlyArray<unknown>, transformRows: TransformRows) {
    return this.#rows(this.#session.query(statement, params, false), transformRows)
  }
  executeRaw(statement: string, params: ReadonlyArray<unknown>) {
    return this.#run(this.#session.query(statement, params))
  }
  executeValues(statement: string, params: ReadonlyArray<unknown>) {
    return this.#run(this.#session.queryValues(statement, params))
  }
  executeValuesUnprepared(statement: string, params: ReadonlyArray<unknown>) {
    return this.#run(this.#session.queryValues(statement, params, false))
  }
  executeStream(statement: string, params: ReadonlyArray<unknown>, transformRows: TransformRows) {
    const opened = Effect.andThen(
      Effect.acquireRelease(this.#turn.take(1), () => this.#turn.release(1), { interruptible: true }),
      Effect.as(this.#written, this.#session.stream(statement, params))
    )
    const rows = Stream.unwrap(opened)
    return transformRows === undefined
      ? rows
      : Stream.mapArray(rows, (chunk) => transformRows(chunk) as Arr.NonEmptyReadonlyArray<PgConnection.Row>)
  }

  #rows(statement: Effect.Effect<PgConnection.Result, SqlError>, transformRows: TransformRows) {
    return Effect.map(
      this.#run(statement),
      ({ rows }) => transformRows === undefined ? rows : transformRows(rows)
    )
  }

  #run<A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    const sent = Effect.uninterruptibleMask((restore) => {
      this.#sendAhead()
      const stopped = this.#stopped
      if (stopped !== undefined) return Effect.fail(stopped)
      const fiber = Effect.runFork(statement)
      const answer = Effect.onInterrupt(restore(Fiber.await(fiber)), () => this.#giveUp([fiber]))
      return Effect.flatMap(answer, (exit) => this.#failed === undefined ? exit : Effect.fail(this.#failed))
    })
    return this.#turn.withPermit(sent)
  }

  /** Sends what is to be sent ahead, and waits for it. For whoever has the turn. */
  get #written(): Effect.Effect<void, SqlError> {
    return Effect.uninterruptibleMask((restore) => {
      this.#sendAhead()
      const stopped = this.#stopped
      return stopped === undefined
        ? Effect.onInterrupt(restore(this.#answered), () => this.#giveUp([...this.#inFlight]))
        : Effect.fail(stopped)
    })
  }

  /**
   * Until the statements have ended: so nobody else's is cancelled. sql-pg itself cancels nothing of a connection with `multiplex`.
   */
  #giveUp(fibers: ReadonlyArray<Fiber.Fiber<unknown, SqlError>>): Effect.Effect<unknown> {
    const cancelled = Effect.suspend(() =>
      fibers.every((fiber) => fiber.pollUnsafe() !== undefined)
        ? Effect.void
        // Again, where it has met what was sent ahead of the statement.
        : Effect.repeat(Effect.andThen(this.#cancel, Effect.timeoutOption(Fiber.awaitAll(fibers), "1 second")), {
          until: Option.isSome
        })
    )
    // In a fiber of its own: in the one that is interrupted no wait can end early. Nor is its end waited for when it is too late.
    const ended = Effect.gen(function*() {
      const cancelling = yield* Effect.forkDetach(cancelled)
      const isEnded = Option.isSome(yield* Effect.timeoutOption(Fiber.await(cancelling), patience))
      if (!isEnded) cancelling.interruptUnsafe()
      return isEnded
    })
    return Effect.map(Effect.flatMap(Effect.forkDetach(ended), Fiber.join), (isEnded) => {
      if (!isEnded) this.#isLost = true
    })
  }

  get #stopped(): SqlError | undefined {
    if (this.#failed !== undefined) return this.#failed
    if (this.#isLost) return notGivenUp()
    return this.#isOver ? ended() : undefined
  }

  /**
   * Sends BEGIN, if that has not been, and what was deferred. All at once: there is no step in between at which an interruption could
   * lose something.
   */
  #sendAhead(): void {
    if (this.#stopped !== undefined) return
    if (!this.#begun) {
      this.#begun = true
      // Not prepared: where the server has forgotten a prepared one, sql-pg would send it again behind what was to stand in it.
      this.#send(this.#session.query(this.#begin, [], false))
    }
    const deferred = this.#deferred
    this.#deferred = undefined
    if (deferred === undefined) return
    for (const [text, params] of deferred.statementsOf(deferred.rows as Array<never>)) {
      this.#send(this.#session.query(text, params))
    }
  }

  #send(statement: Effect.Effect<unknown, SqlError>): void {
    const fiber = Effect.runFork(statement)
    this.#inFlight.add(fiber)
    // At once, where it could not even be sent.
    fiber.addObserver((exit) => {
      this.#inFlight.delete(fiber)
      if (Exit.isFailure(exit)) this.#failed ??= errorOf(exit.cause)
    })
  }

  /** Waits for what was sent ahead, and fails if any of that has. */
  get #answered(): Effect.Effect<void, SqlError> {
    const check = Effect.suspend(() => this.#failed === undefined ? Effect.void : Effect.fail(this.#failed))
    return Effect.suspend(() =>
      this.#isLost || this.#inFlight.size === 0 ? check : Effect.andThen(Fiber.awaitAll(this.#inFlight), check)
    )
  }

  #committed(exit: Exit.Exit<PgConnection.Result, SqlError>): Effect.Effect<void, SqlError> {
    // Why COMMIT has failed is told by what was sent ahead of it. Where it was not understood, the transaction is still open.
    if (Exit.isFailure(exit)) {
      return Effect.andThen(Effect.exit(this.#rollBack), Effect.andThen(this.#answered, exit))
    }
    return exit.value.command === "ROLLBACK"
      ? Effect.andThen(this.#answered, Effect.fail(failure("commit", "COMMIT rolled back an aborted transaction")))
      : this.#answered
  }

  /** A session that is gone has rolled back. */
  get #rollBack(): Effect.Effect<unknown, SqlError> {
    return Effect.catchIf(
      this.#session.query("ROLLBACK", [], false),
      (error) => error.reason._tag === "ConnectionError",
      () => Effect.void
    )
  }
}

const notGivenUp = () => failure("query", `a statement was not given up within ${patience}`)
const ended = () => failure("query", "the transaction has ended")

const failure = (operation: string, message: string, cause: unknown = new Error(message)) =>
  new SqlError({ reason: new UnknownError({ cause, message, operation }) })

const errorOf = (cause: Cause.Cause<SqlError>): SqlError => {
  const error = Cause.squash(cause)
  return isSqlError(error) ? error : failure("query", "a statement could not be sent", error)
}
