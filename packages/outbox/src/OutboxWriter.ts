/**
 * Writes an event in a transaction of its own, as the seed's writer does: for events that no business change goes with.
 *
 * What the caller's transaction does afterwards changes nothing for the event: to have both or none, use `TransactionalPublisher`.
 */
import type { Event } from "@zakops/events/EventDefinition"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import type { Emission, EmitOptions } from "./Emission.ts"
import type { EmitError } from "./Outbox.ts"
import { Outbox } from "./Outbox.ts"
import { outsideTransaction } from "./outsideTransaction.ts"
import { TransactionalPublisher } from "./TransactionalPublisher.ts"

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
      return OutboxWriter.of({
        write: (event, options) => onItsOwn(transact(outbox.emit(event, options))),
        writeAll: (emissions) => onItsOwn(transact(outbox.emitAll(emissions)))
      })
    })
  )
}
