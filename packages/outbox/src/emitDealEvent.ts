/**
 * Wraps an effect so that it emits when it succeeds: through the outbox, or directly where the outbox is switched off.
 *
 * The effect and its event run in one transaction (a savepoint, if one is open). The result passes through unchanged, so a response
 * has the same shape either way.
 */
import type { Event } from "@zakops/events/EventDefinition"
import type { InvalidEvent } from "@zakops/events/InvalidEvent"
import * as Effect from "effect/Effect"
import type { EmitOptions } from "./emitting/Emission.ts"
import type { EmitError } from "./Outbox.ts"
import { Outbox } from "./Outbox.ts"
import type { Transaction } from "./Transaction.ts"
import { TransactionalPublisher } from "./TransactionalPublisher.ts"

/** The event of a result, as `EventDefinition.make` gives it, and how to emit it. */
export interface EmissionOf<Aggregate extends string> extends EmitOptions {
  readonly event: Effect.Effect<Event<string, Aggregate>, InvalidEvent>
}

const emitAbout = <Aggregate extends string>() =>
<A>(describe: (result: A) => EmissionOf<Aggregate>) =>
<E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | EmitError, Exclude<R, Transaction> | Outbox | TransactionalPublisher> =>
  Effect.gen(function*() {
    const outbox = yield* Outbox
    const { transact } = yield* TransactionalPublisher
    return yield* transact(Effect.tap(self, (result) => {
      const { event, ...options } = describe(result)
      return Effect.flatMap(event, (made) => outbox.emit(made, options))
    }))
  })

/**
 * Emits an event about a deal after `self` has succeeded. Takes events whose definition has the aggregate type `deal`.
 *
 * @example
 * insertDeal(input).pipe(
 *   emitDealEvent((deal) => ({ event: DealCreated.make(deal), correlationId: deal.dealId }))
 * )
 */
export const emitDealEvent = emitAbout<"deal">()

/** Emits an event about an action after `self` has succeeded. Takes events whose definition has the aggregate type `action`. */
export const emitActionEvent = emitAbout<"action">()
