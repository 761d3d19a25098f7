/**
 * Emitting: an event is written with the business change, in the same transaction, or not at all.
 *
 * The type of `emit` requires a `Transaction`, so emitting outside of one does not compile. Processors are woken after the commit. With
 * `OUTBOX_ENABLED=false` the same calls publish directly, as before there was an outbox, and promise no more than that did; `OUTBOX_MODES`
 * says so for single types.
 */
import { EventPublisher } from "@zakops/events/EventPublisher"
import type { Event } from "@zakops/events/EventDefinition"
import type { PublishError } from "@zakops/events/EventPublisher"
import type { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import type { Emission, EmitOptions, NewEntry } from "./emitting/Emission.ts"
import { originIn } from "./emitting/Origin.ts"
import { toEntry } from "./emitting/toEntry.ts"
import { OutboxConfig } from "./OutboxConfig.ts"
import { inOwnTransaction } from "./emitting/ownTransaction.ts"
import type { Transaction } from "./Transaction.ts"
import { Wakeup } from "./Wakeup.ts"
import { writeByMode } from "./emitting/writeByMode.ts"

/**
 * `InvalidEvent` names the field and leaves the transaction usable. `SqlError` comes from the INSERT, and has ended it; over a
 * `PipelinedPgClient` it may be the next statement of the transaction, or COMMIT, that fails with it. `PublishError` comes only where the
 * outbox is switched off, or the type is not in the mode `outbox`: from the destination itself.
 */
export type EmitError = InvalidEvent | SqlError | PublishError

/**
 * The `Transaction` that its methods require is the point of them.
 *
 * @effect-expect-leaking Transaction
 */
export class Outbox extends Context.Service<Outbox, {
  /**
   * Writes the event in the open transaction and gives its id: with a `dedupeKey`, the id of the first with that key, where it is not
   * written itself. Delivered after the commit, never after a roll-back.
   */
  readonly emit: (event: Event, options: EmitOptions) => Effect.Effect<string, EmitError, Transaction>
  /**
   * Writes many events in the open transaction, in this order, in as few statements as can be, and gives their ids. All are checked
   * before the first is written.
   */
  readonly emitAll: (
    emissions: ReadonlyArray<Emission>
  ) => Effect.Effect<ReadonlyArray<string>, EmitError, Transaction>
}>()("@zakops/outbox/Outbox") {
  static readonly layer = Layer.effect(
    Outbox,
    Effect.gen(function*() {
      const config = yield* OutboxConfig
      const db = yield* Database.make
      const wakeup = yield* Wakeup
      const publisher = yield* EventPublisher
      const write = yield* writeByMode(db, publisher, wakeup.notice)
      const originOf = originIn(`${db.schema}.outbox`)

      const emitAll = (emissions: ReadonlyArray<Emission>) =>
        inOwnTransaction<ReadonlyArray<string>, EmitError>(db, (_, fiber) => {
          const origin = originOf(fiber)
          const entries: Array<NewEntry> = []
          for (const emission of emissions) {
            const entry = toEntry(emission, origin, config)
            if (Result.isFailure(entry)) return Effect.fail(entry.failure)
            entries.push(entry.success)
          }
          return entries.length === 0 ? Effect.succeed([]) : write(entries)
        })

      return Outbox.of({
        emit: (event, options) => Effect.map(emitAll([{ ...options, event }]), (ids) => ids[0] as string),
        emitAll
      })
    })
  )
}
