/**
 * Writes an event in a transaction of its own, as the seed's writer does: for events that no business change goes with.
 *
 * What the caller's transaction does afterwards changes nothing for the event: to have both or none, use `TransactionalPublisher`. What
 * passes (a deadlock, a restart of the database, a lost connection) is outlasted for some seconds, and does not write an event twice.
 */
import type { Event } from "@zakops/events/EventDefinition"
import { uuidV7 } from "@zakops/events/uuidV7"
import * as SqlErrors from "@zakops/migrations/SqlErrors"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import type { Emission, EmitOptions } from "./emitting/Emission.ts"
import type { EmitError } from "./Outbox.ts"
import { Outbox } from "./Outbox.ts"
import { outsideTransaction } from "./emitting/outsideTransaction.ts"
import { isUnanswered } from "./emitting/resolveCommit.ts"
import { TransactionalPublisher } from "./TransactionalPublisher.ts"

/** Tries after 100, 200, 400, 800, 1,600 and 3,200 ms. */
const patience = Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 6 }))

export class OutboxWriter extends Context.Service<OutboxWriter, {
  /** Commits the event and gives its id. Takes a connection of its own, also where a transaction is open. */
  readonly write: (event: Event, options: EmitOptions) => Effect.Effect<string, EmitError>
  /** Commits all of the events, or none, and gives their ids. */
  readonly writeAll: (emissions: ReadonlyArray<Emission>) => Effect.Effect<ReadonlyArray<string>, EmitError>
}>()("@zakops/outbox/OutboxWriter") {
  static readonly layer = Layer.effect(
    OutboxWriter,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const outbox = yield* Outbox
      const { transact } = yield* TransactionalPublisher
      const onItsOwn = outsideTransaction(sql)

      const writeAll = (emissions: ReadonlyArray<Emission>): Effect.Effect<ReadonlyArray<string>, EmitError> =>
        Effect.suspend(() => {
          // The same ids at every try: a second one finds what the first has written, if it was committed after all.
          const numbered = emissions.map((emission) => ({ ...emission, id: emission.id ?? uuidV7() }))
          // What Postgres has rolled back was not: then the id is somebody else's.
          let mayBeWritten = false
          return onItsOwn(transact(outbox.emitAll(numbered))).pipe(
            Effect.tapError((error) =>
              Effect.sync(() => {
                mayBeWritten ||= isSqlError(error) && isUnanswered(error)
              })
            ),
            Effect.catchIf(
              (error) => mayBeWritten && isSqlError(error) && error.reason._tag === "UniqueViolation",
              () => Effect.succeed(numbered.map(({ id }) => id.toLowerCase()))
            ),
            Effect.retry({
              schedule: patience,
              while: (error) => isSqlError(error) && SqlErrors.isPassing(error)
            })
          )
        })

      return OutboxWriter.of({
        write: (event, options) => Effect.map(writeAll([{ ...options, event }]), (ids) => ids[0] as string),
        writeAll
      })
    })
  )
}
