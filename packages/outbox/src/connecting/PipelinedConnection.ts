/**
 * The connection of a transaction that sends what nobody has to wait for along with what comes next: BEGIN with the first statement, and
 * rows that were gathered with COMMIT. A business row and an event are two round trips instead of four, with ten events as well.
 *
 * What is sent behind a BEGIN is run whatever has become of BEGIN. So its session has to be read-only outside of transactions
 * (`default_transaction_read_only`): what would change something fails there, and with it the transaction.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Connection } from "effect/sql/SqlConnection"
import { SqlError, UnknownError } from "effect/sql/SqlError"

type TransformRows = (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** The text of a statement, and its parameters. */
export type Statement = readonly [text: string, params: ReadonlyArray<unknown>]

interface Gathered {
  readonly rows: Array<unknown>
  readonly statementsOf: (rows: ReadonlyArray<never>) => ReadonlyArray<Statement>
}

/** So many rows are gathered and then waited for: what they take in memory is bounded. */
const mostGathered = 1000

export class PipelinedConnection implements Connection {
  readonly #session: PgConnection.PgConnection
  readonly #cancel: Effect.Effect<unknown>
  /** One statement at a time, so that an interruption cancels no other's. */
  readonly #turn = Semaphore.makeUnsafe(1)
  #begun = false
  #streamed = false
  #gathered: Gathered | undefined
  /** What has been sent and nobody has waited for, in this order. */
  #onTheirWay: Array<Fiber.Fiber<unknown, SqlError>> = []
  /** Why nothing more can be sent. */
  #over: SqlError | undefined

  /**
   * @param session of a pool with `multiplex`, lent to nobody else
   * @param cancel makes the server give up what the session is at
   */
  constructor(session: PgConnection.PgConnection, cancel: Effect.Effect<unknown>) {
    this.#session = session
    this.#cancel = cancel
  }

  /**
   * Leaves rows to be written by `statementsOf`, together with those that follow, ahead of the next other statement or of COMMIT; that
   * fails, if they cannot be written. The statements must not wait for locks of others, since nothing interrupts a COMMIT.
   */
  gather<Row>(
    rows: ReadonlyArray<Row>,
    statementsOf: (rows: ReadonlyArray<Row>) => ReadonlyArray<Statement>
  ): Effect.Effect<unknown, SqlError> {
    return Effect.suspend(() => {
      const before = this.#gathered
      if (before?.statementsOf !== statementsOf) {
        this.#gathered = { rows: [...rows], statementsOf }
        return before === undefined ? Effect.void : this.#write(before)
      }
      before.rows.push(...rows)
      // Within a stream that holds the session it would wait for ever.
      return before.rows.length < mostGathered || this.#streamed
        ? Effect.void
        : Effect.andThen(this.#sendAhead, this.#answered)
    })
  }

  get commit(): Effect.Effect<void, SqlError> {
    return Effect.suspend(() => {
      if (!this.#begun && this.#gathered === undefined) return Effect.void
      // A stream may still hold the session: what cannot be sent at all has to show before COMMIT goes.
      const ahead = this.#streamed ? Effect.andThen(this.#sendAhead, this.#answered) : this.#sendAhead
      return Effect.matchCauseEffect(ahead, {
        onFailure: (cause) => Effect.andThen(this.#session.query("ROLLBACK"), Effect.failCause(cause)),
        onSuccess: () => this.#sendCommit
      })
    })
  }

  get rollback(): Effect.Effect<void, SqlError> {
    return Effect.suspend(() =>
      this.#begun
        ? Effect.andThen(this.#session.query("ROLLBACK"), Effect.ignore(this.#answered))
        : Effect.void
    )
  }

  /** To be called when it is given back: whoever still holds it must not write in the transaction of another. */
  end(): void {
    this.#over = failure("query", "the transaction has ended")
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
    const begun = Effect.suspend(() => {
      this.#streamed = true
      return Effect.andThen(this.#sendAhead, this.#answered)
    })
    const rows = Stream.unwrap(Effect.as(this.#turn.withPermit(begun), this.#session.stream(statement, params)))
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
    return this.#turn.withPermit(Effect.flatMap(
      Effect.andThen(this.#sendAhead, Effect.exit(this.#cancelable(statement))),
      (answer) => Effect.andThen(this.#answered, answer)
    ))
  }

  /** An interruption waits until the server has given the statement up. sql-pg cancels nothing of a connection with `multiplex`. */
  #cancelable<A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    const giveUp = Effect.flatMap(
      // Has the session when nothing is on its way any more.
      Effect.forkDetach(Effect.scoped(this.#session.pin), { startImmediately: true }),
      // Again, where it has met only what was sent ahead of the statement.
      (idle) =>
        Effect.repeat(Effect.andThen(this.#cancel, Effect.timeoutOption(Fiber.await(idle), "1 second")), {
          until: Option.isSome
        })
    )
    return Effect.onInterrupt(statement, () => Effect.flatMap(Effect.forkDetach(giveUp), Fiber.await))
  }

  get #sendCommit(): Effect.Effect<void, SqlError> {
    return Effect.flatMap(Effect.exit(this.#session.query("COMMIT")), (committed) =>
      Effect.flatMap(
        // Why COMMIT has rolled back is told by what was sent ahead of it.
        Effect.andThen(this.#answered, committed),
        ({ command }) =>
          command === "ROLLBACK"
            ? Effect.fail(failure("commit", "COMMIT rolled back an aborted transaction"))
            : Effect.void
      ))
  }

  /** Sends BEGIN, if that has not been, and what was gathered. */
  get #sendAhead(): Effect.Effect<unknown, SqlError> {
    return Effect.suspend(() => {
      if (this.#over !== undefined) return Effect.fail(this.#over)
      const gathered = this.#gathered
      this.#gathered = undefined
      return gathered === undefined ? this.#begin : this.#write(gathered)
    })
  }

  #write({ rows, statementsOf }: Gathered): Effect.Effect<unknown, SqlError> {
    return Effect.andThen(
      this.#begin,
      Effect.forEach(
        statementsOf(rows as Array<never>),
        ([text, params]) => this.#send(this.#session.query(text, params)),
        { discard: true }
      )
    )
  }

  get #begin(): Effect.Effect<unknown, SqlError> {
    return Effect.suspend(() => {
      if (this.#begun) return Effect.void
      this.#begun = true
      // Not prepared: where the server has forgotten a prepared one, sql-pg would send it again behind what was to stand in it.
      return this.#send(this.#session.query("BEGIN READ WRITE", [], false))
    })
  }

  #send(statement: Effect.Effect<unknown, SqlError>): Effect.Effect<unknown, SqlError> {
    // Detached: the fiber that sends it may end before the transaction does.
    return Effect.flatMap(Effect.forkDetach(statement, { startImmediately: true }), (fiber) => {
      this.#onTheirWay.push(fiber)
      // What could not even be sent: nothing may follow it.
      return fiber.pollUnsafe() === undefined ? Effect.void : this.#answered
    })
  }

  /** Waits for what nobody has waited for. If any of it has failed, so does this, and all that comes. */
  get #answered(): Effect.Effect<void, SqlError> {
    return Effect.suspend(() => {
      if (this.#over !== undefined) return Effect.fail(this.#over)
      const sent = this.#onTheirWay
      if (sent.length === 0) return Effect.void
      this.#onTheirWay = []
      return Effect.tapError(Effect.forEach(sent, Fiber.join, { discard: true }), (error) =>
        Effect.sync(() => {
          this.#over = error
        }))
    })
  }
}

const failure = (operation: string, message: string) =>
  new SqlError({ reason: new UnknownError({ cause: new Error(message), message, operation }) })
