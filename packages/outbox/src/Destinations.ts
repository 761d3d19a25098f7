/**
 * Where events go: what waits for each destination, and how far a single event has come at each.
 *
 * There is the main destination, and one for each route (`Routes`). Destinations are found by what the tables hold, so that one whose route
 * was taken out of the program is still seen as long as something waits for it. Only reads; any process can ask.
 */
import * as Database from "@zakops/migrations/Database"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import { checkId } from "./deadLetters/EntryHistory.ts"
import type { InvalidRequest } from "./deadLetters/DeadFilter.ts"
import { countDestinations } from "./routing/countDestinations.ts"
import type { DestinationCounts } from "./routing/countDestinations.ts"
import { stateOfEvent } from "./routing/stateOfEvent.ts"
import type { DestinationState } from "./routing/stateOfEvent.ts"

export class Destinations extends Context.Service<Destinations, {
  /** The main destination, and then the routed ones by name, with what waits for each. Counts are capped, so that they stay cheap. */
  readonly list: Effect.Effect<ReadonlyArray<DestinationCounts>, SqlError>
  /**
   * How far the event has come: at the main destination, and then at each that it was routed to, by name. Routed is an event when the main
   * destination has it. Empty where there is no such event, or retention has deleted its entries.
   */
  readonly ofEvent: (eventId: string) => Effect.Effect<ReadonlyArray<DestinationState>, InvalidRequest | SqlError>
}>()("@zakops/outbox/Destinations") {
  static readonly layer = Layer.effect(
    Destinations,
    Effect.map(Database.make, (db) => {
      const read = stateOfEvent(db)
      return Destinations.of({
        list: countDestinations(db).pipe(Effect.withSpan("Destinations.list")),
        ofEvent: Effect.fn("Destinations.ofEvent")(function*(eventId) {
          return yield* read(yield* checkId(eventId))
        })
      })
    })
  )
}
